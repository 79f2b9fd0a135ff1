// Makes a fresh clone ready: packages, builds and the real servers. Plain JavaScript without dependencies, because it runs
// before any are there. Does nothing, quickly, when all is there. As a command: node scripts/setup.mjs [PART...]
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../analyzer/embedded/binary.mjs";
import { installPackages, whyInstall } from "./tools/npm-packages.mjs";
import { hasChromium, hasClickHouse } from "./tools/optional.mjs";
import { build, staleOutputs } from "./tools/outputs.mjs";
import { bringServer, isServerThere } from "./tools/servers.mjs";
import { report, SetupError, say } from "./tools/steps.mjs";

const NODE_MIN = [20, 11];
export const PARTS = ["npm", "build", "envoy", "nats", "clickhouse", "chromium"];

/**
 * Sees to it that these parts are there. Envoy and nats-server of a sufficient version that the variables ENVOY_BIN and
 * NATS_SERVER_BIN name, or that are on PATH, are taken as they are.
 *
 * @throws SetupError that says what is wrong and what to do
 */
export async function setup({ parts = PARTS, root = packageRoot() } = {}) {
  checkNode();
  for (const part of parts) {
    if (!PARTS.includes(part)) {
      throw new SetupError(`there is no part "${part}"`, [`Parts: ${PARTS.join(", ")}.`]);
    }
  }
  const wants = (part) => parts.includes(part);
  const isReady = () =>
    !(wants("npm") && whyInstall(root) !== undefined) &&
    !(wants("build") && staleOutputs(root).length > 0) &&
    !["envoy", "nats"].some((part) => wants(part) && !isServerThere(part, root));
  if (!isReady()) {
    const unlock = await lock(root);
    try {
      if (wants("npm")) await installPackages(root);
      // The servers before the builds: what a person must see to shows early.
      for (const part of ["envoy", "nats"]) {
        if (wants(part) && !isServerThere(part, root)) await bringServer(part, root);
      }
      if (wants("build")) for (const one of staleOutputs(root)) await build(one, root);
    } finally {
      unlock();
    }
  }
  if (wants("clickhouse")) hasClickHouse(root);
  if (wants("chromium")) hasChromium(root);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  throw new SetupError(
    `Node.js is ${process.versions.node}, expected ${NODE_MIN.join(".")} or later`,
    [
      "Install a later Node.js (nvm install 22; Debian, Ubuntu: a newer release or a build from the Node.js project).",
    ],
  );
}

/** Two commands at once in one fresh clone: the second waits for the first instead of disturbing it. */
async function lock(root) {
  const path = join(root, ".cache", "setup.lock");
  mkdirSync(join(root, ".cache"), { recursive: true });
  for (let waiting = false; ; ) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = holderOf(path);
    if (holder === undefined) {
      rmSync(path, { force: true });
      continue;
    }
    if (!waiting) say(`setup: waiting for another setup in this folder (process ${holder}) …`);
    waiting = true;
    await new Promise((done) => setTimeout(done, 500));
  }
}

/** The living process that has the lock; undefined when it has gone. */
function holderOf(path) {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    if (pid > 0) process.kill(pid, 0);
    // An empty file: the holder is between making and writing it.
    return pid > 0 ? pid : "?";
  } catch (error) {
    return error.code === "EPERM" ? "?" : undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const parts = process.argv.slice(2);
  try {
    await setup(parts.length === 0 ? {} : { parts });
    say("setup: all is ready");
  } catch (error) {
    report(error);
    process.exitCode = 1;
  }
}
