/** Bundles editor.js. */
import { readFile } from "node:fs/promises";

import { build } from "esbuild";

/**
 * Yjs warns when a page has it twice, as JupyterLab pages do: objects of one copy are nothing to the other. Those of
 * this bundle never leave it, so its copy goes without the mark that is looked for.
 */
const ownYjs = {
  name: "own-yjs",
  setup({ onLoad }) {
    onLoad({ filter: /\/yjs\.mjs$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const mark = "'__ $YJS$ __'";
      if (!source.includes(mark)) throw new Error(`${path} has no ${mark}: see what this version does instead`);
      return { contents: source.replace(mark, "Symbol('Yjs of rtwidgets')"), loader: "js" };
    });
  },
};

await build({
  entryPoints: ["editor.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  outfile: "../rtwidgets/widgets/static/editor.bundle.js",
  plugins: [ownYjs],
});
