// Notes when a chart's picture changes and how new its newest point is. Loaded before the page's own scripts.
(() => {
  const raf = window.requestAnimationFrame.bind(window);
  let inFrame = false;
  let waiting = false;
  const bench = (window.rtBench = { kind: "", newest: -Infinity, took: 0, told: 0 });

  window.requestAnimationFrame = (callback) =>
    raf((time) => {
      inFrame = true;
      try {
        callback(time);
      } finally {
        queueMicrotask(() => (inFrame = false)); // after the observers of what the callback has changed
      }
    });

  const last = (values) => (values && values.length ? values[values.length - 1] : undefined);
  const least = (values) => (values.length ? Math.min(...values) : -Infinity);
  const curves = () =>
    [...document.querySelectorAll(".bqplot g.curve")]
      .map((curve) => last(curve.__data__?.values)?.x)
      .filter((x) => x !== undefined && !Number.isNaN(+x))
      .map(Number);

  // x of the newest point that is drawn, in Unix ms: of the series that is furthest behind.
  const read = {
    ours: () => least(curves()),
    bqplot: () => least(curves()),
    bokeh: () =>
      least(
        (window.Bokeh?.documents ?? [])
          .slice(-1) // those before it are of charts that are gone
          .flatMap((doc) => doc.roots())
          .flatMap((root) => root.renderers ?? [])
          .map((renderer) => last(renderer.data_source?.data?.x ?? renderer.data_source?.data?.get?.("x")))
          .filter((x) => x !== undefined),
      ),
    plotly: () =>
      least(
        [...document.querySelectorAll(".js-plotly-plot")]
          .flatMap((plot) => plot._fullData ?? [])
          .map((trace) => last(trace._length ? trace.x : undefined))
          .filter((x) => x !== undefined)
          .map((x) => (typeof x === "number" ? x : Date.parse(`${x}Z`.replace(" ", "T")))),
      ),
    perspective: () => performance.timeOrigin + performance.now(), // cannot be read: see the module
  };

  const note = () => {
    const newest = read[bench.kind]?.() ?? -Infinity;
    if (!(newest > bench.newest)) return;
    bench.newest = newest;
    const at = performance.timeOrigin + performance.now();
    window.rtBenchPaint?.(JSON.stringify({ at, newest, took: bench.took, told: bench.told }));
  };
  const changed = () => {
    if (inFrame) queueMicrotask(note);
    else if (!waiting) {
      waiting = true; // shown with the next frame
      raf(() => {
        waiting = false;
        note();
      });
    }
  };

  const start = () =>
    new MutationObserver((changes) => {
      if (changes.some((change) => change.target.closest?.(".bqplot g.curve, .js-plotly-plot .trace"))) changed();
    }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["d"] });
  start();

  for (const [type, method] of [
    ["CanvasRenderingContext2D", "stroke"],
    ["WebGLRenderingContext", "drawArrays"],
    ["WebGL2RenderingContext", "drawArrays"],
    ["WebGL2RenderingContext", "drawArraysInstanced"],
  ]) {
    const prototype = window[type]?.prototype;
    const original = prototype?.[method];
    if (!original) continue;
    prototype[method] = function (...given) {
      if (bench.kind === "bokeh" || bench.kind === "perspective") changed();
      return original.apply(this, given);
    };
  }

  // What our own feeder says of a picture.
  document.addEventListener("rtwidgets:painted", (event) => {
    bench.took += event.detail.took;
    bench.told += 1;
  });

  setInterval(() => window.rtBenchAlive?.(""), 200);
})();
