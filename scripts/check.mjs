// npm run check: format, lint and types of both halves. Runs everything, then says what failed.
import { join } from "node:path";
import { packageRoot } from "../analyzer/embedded/binary.mjs";
import { setup } from "./setup.mjs";
import { report, run, say, seconds } from "./tools/steps.mjs";

/** Biome colours even a file unless told otherwise. */
const COLORS = process.stdout.isTTY ? [] : ["--colors=off"];

const CHECKS = [
  {
    title: "format and lint (biome)",
    command: ["@biomejs/biome/bin/biome", "ci", "--max-diagnostics=100", ...COLORS, "."],
    hint: "npm run format corrects most of it",
  },
  {
    title: "types: wire, analyzer, scripts, tests",
    command: ["typescript/bin/tsc", "-p", "tsconfig.json"],
  },
  {
    title: "types: the page",
    command: ["typescript/bin/tsc", "-p", "analyzer/dashboard/page/tsconfig.json"],
  },
  {
    title: "types: the filter, as an editor sees it",
    command: ["typescript/bin/tsc", "-p", "filter/tsconfig.json"],
  },
  {
    title: "the filter compiles (asc)",
    command: [
      "assemblyscript/bin/asc.js",
      "--config",
      "asconfig.json",
      "--target",
      "release",
      "--noEmit",
    ],
  },
];

try {
  await setup({ parts: ["npm"] });
  const root = packageRoot();
  const failed = [];
  for (const { title, command, hint } of CHECKS) {
    const start = Date.now();
    const [script, ...args] = command;
    const { code } = await run(process.execPath, [join(root, "node_modules", script), ...args], {
      cwd: root,
      show: true,
    });
    say(`check: ${title}: ${code === 0 ? "ok" : "FAILED"}, ${seconds(start)}`);
    if (code !== 0) failed.push(hint === undefined ? title : `${title} (${hint})`);
  }
  for (const title of failed) say(`check: failed: ${title}`);
  say(`check: ${CHECKS.length - failed.length} of ${CHECKS.length} ok`);
  process.exitCode = failed.length > 0 ? 1 : 0;
} catch (error) {
  report(error);
  process.exitCode = 1;
}
