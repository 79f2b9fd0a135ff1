// npm run demo [-- OPTIONS]: makes the clone ready, then runs scripts/demo/main.ts in its place.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../analyzer/embedded/binary.mjs";
import { setup } from "./setup.mjs";
import { report } from "./tools/steps.mjs";

try {
  await setup({ parts: ["npm", "build", "envoy", "nats", "clickhouse"] });
  const root = packageRoot();
  const url = (...path) => pathToFileURL(join(root, ...path)).href;
  const loaders = [
    ...["--import", url("node_modules", "tsx", "dist", "esm", "index.mjs")],
    ...["--import", url("scripts", "tools", "with-parent.mjs")],
  ];
  const main = join(root, "scripts", "demo", "main.ts");
  const demo = spawn(process.execPath, [...loaders, main, ...process.argv.slice(2)], {
    cwd: root,
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  // A terminal sends Ctrl-C to the demo too; others send their signal to this process alone.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => demo.kill(signal));
  demo.on("exit", (code, signal) => {
    process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
  });
} catch (error) {
  report(error);
  process.exitCode = 1;
}
