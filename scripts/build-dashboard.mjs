// build/dashboard: the page as three files that any web server can give, nothing from elsewhere.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { packageRoot } from "../analyzer/embedded/binary.mjs";

const root = packageRoot();
const page = join(root, "analyzer", "dashboard", "page");
const out = join(root, "build", "dashboard");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [join(page, "main.tsx"), join(page, "style.css")],
  outdir: out,
  bundle: true,
  minify: true,
  sourcemap: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
});
// Served as they are: index.html, icons.
for (const name of readdirSync(page)) {
  if (/\.(html|svg|png|ico|woff2)$/.test(name)) copyFileSync(join(page, name), join(out, name));
}
