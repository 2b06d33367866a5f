// Puts the rows that the kernel sends into an ipydatagrid, and gives it the colours and the font of the theme.
//
// The grid itself has its rows from answers to its requests, which a kernel does not read while a cell runs.
// Here they come unasked. Its colours are painted on a canvas, which knows no CSS variables, and a streaming
// grid does not follow a change of the theme.

const MARKED = (up, down) =>
  `slice(cell.value, 0, 1) == '▲' ? '${up}' : slice(cell.value, 0, 1) == '▼' ? '${down}' : default_value`;

// Okabe-Ito's blue and vermilion (a little darker, for text), and their light kin on a dark ground.
const ON_LIGHT = ["#0072b2", "#b84e00"];
const ON_DARK = ["#56b4e9", "#e69f00"];

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

// Whatever CSS takes for a colour, as r, g and b on the ground behind it.
function flat(colour, ground) {
  canvas.canvas.width = canvas.canvas.height = 1;
  for (const each of [ground, colour]) {
    canvas.fillStyle = each;
    canvas.fillRect(0, 0, 1, 1);
  }
  return Array.from(canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
}

function look() {
  const style = getComputedStyle(document.body);
  const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const solid = (name, otherwise, ground) => `rgb(${flat(read(name, otherwise), ground).join(", ")})`;
  const ground = solid("--jp-layout-color0", "#fff", "#fff");
  const head = solid("--jp-layout-color2", "#eee", ground);
  const rule = solid("--jp-border-color2", "#e0e0e0", ground);
  const brand = flat(read("--jp-brand-color1", "#2196f3"), ground).join(", ");
  const [red, green, blue] = flat(ground, ground);
  const dark = 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  const shadow = flat(read("--jp-border-color1", "#bdbdbd"), ground).join(", ");
  return {
    text: solid("--jp-ui-font-color1", "#222", ground),
    marks: dark ? ON_DARK : ON_LIGHT,
    font: `${read("--jp-ui-font-size1", "13px")} ${read("--jp-ui-font-family", "system-ui, sans-serif")}`,
    style: {
      voidColor: ground,
      backgroundColor: ground,
      gridLineColor: rule,
      headerBackgroundColor: head,
      headerGridLineColor: rule,
      selectionFillColor: `rgba(${brand}, 0.2)`,
      selectionBorderColor: `rgb(${brand})`,
      headerSelectionFillColor: `rgba(${brand}, 0.15)`,
      headerSelectionBorderColor: `rgb(${brand})`,
      cursorFillColor: `rgba(${brand}, 0.2)`,
      cursorBorderColor: `rgb(${brand})`,
      scrollShadow: {
        size: 4,
        color1: `rgba(${shadow}, 1)`,
        color2: `rgba(${shadow}, 0.5)`,
        color3: `rgba(${shadow}, 0)`,
      },
    },
  };
}

// Set what the browser alone knows. Whenever the grid saves something, all that was set before would go to the
// kernel with it, and come back as an echo that the grid misreads.
function setHere(model, values) {
  model.set(values);
  for (const name of Object.keys(values)) delete model._buffered_state_diff?.[name];
}

// Paints what has changed, and no more often than leaves the page most of its time: on a machine without a
// graphics card the grid takes a millisecond or two for each cell that it paints.
class Painter {
  dirty = new Map();
  painting = false;

  put(grid, top, bottom, first, last, columns, data) {
    const { data_model: model } = grid;
    const view = model.currentView;
    const headers = model.columnCount("row-header");
    const told = [
      ...Array.from({ length: headers }, (_, column) => ["row-header", column]),
      ...Array.from({ length: last - first + 1 }, (_, n) => ["body", first + n]),
    ];
    const before = told.map(([region, column]) => {
      return Array.from({ length: bottom - top + 1 }, (_, n) => view.data(region, top + n, column));
    });
    view.setDataRange(top, bottom, first, last, { columns, data });
    told.forEach(([region, column], n) => {
      before[n].forEach((value, at) => {
        if (view.data(region, top + at, column) !== value) this.mark(region, top + at, column);
      });
    });
    if (!this.painting) this.paint(grid);
  }

  mark(region, row, column) {
    const box = this.dirty.get(region) ?? [row, row, column, column];
    const [top, bottom, left, right] = box;
    this.dirty.set(region, [
      Math.min(top, row),
      Math.max(bottom, row),
      Math.min(left, column),
      Math.max(right, column),
    ]);
  }

  paint(grid) {
    if (!this.dirty.size) return;
    this.painting = true;
    const began = performance.now();
    for (const [region, [row, bottom, column, right]] of this.dirty) {
      const span = { rowSpan: bottom - row + 1, columnSpan: right - column + 1 };
      grid.data_model.emitChanged({ type: "cells-changed", region, row, column, ...span });
    }
    this.dirty.clear();
    const rest = () => {
      const spent = performance.now() - began - 40; // two frames go by anyway
      setTimeout(() => {
        this.painting = false;
        this.paint(grid);
      }, Math.max(0, 2 * spent));
    };
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(rest)));
  }
}

const tables = new Map(); // what each table's views say to the kernel, by the model of its grid

function initialize({ model }) {
  const words = new Words(model);
  tables.set(model.get("grid"), words);
  const find = (id) => model.widget_manager.get_model(id);
  const parts = Promise.all([
    find(model.get("grid")),
    find(model.get("marks")),
    Promise.all(model.get("renderers").map(find)),
  ]);
  let layout = null;
  let closed = false;

  const paint = () =>
    parts.then(([grid, marks, renderers]) => {
      if (closed) return;
      const { text, marks: colours, font, style } = look();
      for (const renderer of renderers) {
        const own = renderer.get("text_color") === marks ? {} : { text_color: text };
        setHere(renderer, { font, ...own });
      }
      // What has no mark gets `default_value`, which is the grid's idea of a font colour: name ours.
      setHere(marks, { value: MARKED(...colours).replace("default_value", `'${text}'`) });
      setHere(grid, { grid_style: style });
    });

  const resize = () =>
    requestAnimationFrame(async () => {
      const [grid] = await parts;
      for (const view of await Promise.all(Object.values(grid.views ?? {}))) view.manageResizeEvent();
    });

  const painter = new Painter();
  const receive = ({ ask, first, last, columns, blocks }) =>
    parts.then(([grid]) => {
      if (closed) return;
      if (ask) {
        if (words.free) grid.trigger("msg:custom", { event_type: "tick" });
        return;
      }
      for (const { row, cells } of blocks) {
        const data = Object.fromEntries(columns.map((column, n) => [column, cells[n]]));
        painter.put(grid, row, row + Math.max(...cells.map((each) => each.length)) - 1, first, last, columns, data);
      }
    });
  model.on("msg:custom", receive);

  parts.then(([grid]) => {
    if (closed) return;
    layout = grid.get("layout");
    layout.on("change", resize);
  });
  const themes = new MutationObserver(paint);
  themes.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  paint();

  return () => {
    closed = true;
    words.close();
    tables.delete(model.get("grid"));
    themes.disconnect();
    model.off("msg:custom", receive);
    layout?.off("change", resize);
  };
}

// One view a place where the table is shown. The kernel sends nothing to a table that nobody can see.
function render({ model, el }) {
  const view = crypto.getRandomValues(new Uint32Array(1))[0];
  const words = tables.get(model.get("grid"));
  const tell = (seen) => words.say({ view, seen }, view);
  el.style.height = "1px";
  const watcher = new IntersectionObserver((entries) => tell(entries.at(-1).isIntersecting));
  let table = null;
  requestAnimationFrame(() => {
    table = el.closest(".rtw-table");
    if (table) watcher.observe(table);
  });
  return () => {
    watcher.disconnect();
    tell(null);
  };
}

export default { initialize, render };
