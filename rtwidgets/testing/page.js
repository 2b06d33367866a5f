// What NotebookPage asks of the page. `window.jupyterapp` is JupyterLab's application, which the server
// exposes (LabApp.expose_app_in_browser); commands are steadier than clicks on menus.
window.rtLab = (() => {
  let run = { done: true, failure: null, died: false, ran: [] };
  let restored = null;

  const app = () => window.jupyterapp;

  function panel() {
    if (!app()?.shell) return null;
    for (const widget of app().shell.widgets("main")) {
      if (widget.sessionContext && widget.content?.widgets) return widget;
    }
    return null;
  }

  const cells = () => Array.from(panel().content.widgets);

  const outputList = (cell) => (cell.model.type === "code" ? cell.model.outputs.toJSON() : []);

  function start(indices, command) {
    run = { done: false, failure: null, died: false, ran: indices };
    const mine = run;
    const { sessionContext } = panel();
    // A kernel that dies is started again within a moment: its state now would not tell.
    const watch = (_, status) => {
      mine.died ||= status === "dead" || status === "autorestarting";
    };
    sessionContext.statusChanged.connect(watch);
    app()
      .commands.execute(command)
      .catch((error) => {
        mine.failure = String(error);
      })
      .then(() => {
        mine.done = true;
        sessionContext.statusChanged.disconnect(watch);
      });
  }

  return {
    // Asked again and again, so it answers at once instead of waiting.
    ready() {
      const notebook = panel();
      if (!notebook) return false;
      if (restored === null) {
        restored = false;
        Promise.all([app().restored, notebook.revealed]).then(() => {
          restored = true;
        });
      }
      const { context, sessionContext } = notebook;
      return (
        restored &&
        context.isReady &&
        sessionContext.isReady &&
        sessionContext.session?.kernel?.status === "idle"
      );
    },

    // Leave the notebook alone on the page: no side bars, no blinking cursor.
    async tidy() {
      const { commands, shell } = app();
      shell.collapseLeft();
      shell.collapseRight();
      for (const side of ["left", "right"]) {
        if (shell.isSideTabBarVisible(side)) {
          await commands.execute("application:toggle-side-tabbar", { side });
        }
      }
      panel().content.mode = "command";
    },

    async execute([command, args]) {
      await app().commands.execute(command, args);
    },

    // JupyterLab covers the page with a splash while a theme loads, and fades it out.
    hasTheme(name) {
      return document.body.dataset.jpThemeName === name && !document.getElementById("jupyterlab-splash");
    },

    runAll() {
      start([...cells().keys()], "notebook:run-all-cells");
    },

    runCell(index) {
      panel().content.deselectAll();
      panel().content.activeCellIndex = index;
      start([index], "notebook:run-cell");
    },

    state() {
      const { sessionContext, context, content } = panel();
      const kernel = sessionContext.session?.kernel;
      return {
        ...run,
        kernel: kernel ? kernel.status : "dead",
        dirty: context.model.dirty,
        cells: Array.from(content.widgets, (cell) => ({
          source: cell.model.sharedModel.getSource(),
          running: cell.model.type === "code" && cell.model.executionState === "running",
          mayRaise: (cell.model.getMetadata("tags") ?? []).includes("raises-exception"),
          error: outputList(cell).find((output) => output.output_type === "error") ?? null,
        })),
      };
    },

    outputs(index) {
      return outputList(cells()[index]);
    },

    outputText(index) {
      const shown = cells()[index].node.querySelectorAll(".jp-OutputArea-output");
      return Array.from(shown, (node) => node.innerText.trim()).join("\n");
    },

    dialog() {
      return document.querySelector(".jp-Dialog")?.innerText.replace(/\s+/g, " ").trim() ?? "";
    },

    hiddenHeight() {
      const outer = panel().node.querySelector(".jp-WindowedPanel-outer");
      outer.scrollTop = 0;
      return Math.ceil(outer.scrollHeight - outer.clientHeight);
    },

    // How much higher the notebook's part of the window must be to show an element in full.
    missingHeight(element) {
      const outer = element.closest(".jp-WindowedPanel-outer");
      return outer ? Math.ceil(element.getBoundingClientRect().height - outer.clientHeight + 32) : 0;
    },

    // After the fonts are there and two frames were drawn.
    async painted() {
      await document.fonts.ready;
      for (let frame = 0; frame < 2; frame += 1) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    },
  };
})();
