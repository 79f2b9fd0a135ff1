// build/analyzer: tsc, and beside its output the files that the program reads or starts as they are.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { packageRoot } from "../analyzer/embedded/binary.mjs";
import { run } from "./tools/steps.mjs";

const root = packageRoot();
// What a deleted source left behind would still be imported.
for (const old of ["analyzer", "wire"]) {
  rmSync(join(root, "build", old), { recursive: true, force: true });
}
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const { code } = await run(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
  cwd: root,
  show: true,
});
if (code !== 0) process.exit(code);

const copied = (path) => path.endsWith(".sql") || path.endsWith(".mjs");
for (const path of filesOf(join(root, "analyzer")).filter(copied)) {
  const to = join(root, "build", relative(root, path));
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(path, to);
}
const cli = join(root, "build", "analyzer", "cli", "main.js");
if (existsSync(cli)) chmodSync(cli, 0o755);

function filesOf(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesOf(path) : [path];
  });
}
