import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { packageRoot } from "../../analyzer/embedded/binary.mjs";
import { startNats } from "../../analyzer/embedded/nats.ts";
import { startProgram } from "../../analyzer/embedded/process.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait.ts";

// Real processes on a machine that may be busy with other tests.
jest.setTimeout(60_000);

let dir: TempDir;
beforeEach(() => {
  dir = tempDir("parent");
});
const parents: ChildProcess[] = [];
afterEach(() => {
  for (const parent of parents.splice(0)) parent.kill("SIGKILL");
  dir.remove();
});

/** A process of its own that starts both servers and then does nothing, as an analyzer would. */
async function startParent(): Promise<{ parent: ChildProcess; pids: number[]; natsDir: string }> {
  const root = packageRoot();
  const script = join(dir.path, "parent.mts");
  const natsDir = join(dir.path, "nats");
  const source = (name: string) =>
    JSON.stringify(pathToFileURL(join(root, "analyzer", "embedded", name)).href);
  writeFileSync(
    script,
    `import { startNats } from ${source("nats.ts")};
     import { startClickHouse } from ${source("clickhouse.ts")};
     const nats = await startNats({ dir: ${JSON.stringify(natsDir)} });
     const clickhouse = await startClickHouse({ dir: ${JSON.stringify(join(dir.path, "clickhouse"))} });
     console.log(JSON.stringify([nats.pid, clickhouse.pid]));
     setInterval(() => {}, 1000);`,
  );
  const { NODE_OPTIONS: _, ...env } = process.env;
  const parent = spawn(process.execPath, ["--import", tsxLoader(), script], {
    stdio: ["ignore", "pipe", "inherit"],
    env,
  });
  parents.push(parent);
  let text = "";
  parent.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  const pids = await waitFor(
    "the parent to name its servers",
    () => text.endsWith("]\n") && (JSON.parse(text) as number[]),
    { timeoutMs: 30_000 },
  );
  return { parent, pids, natsDir };
}

function tsxLoader(): string {
  const path = join(packageRoot(), "node_modules", "tsx", "dist", "esm", "index.mjs");
  return pathToFileURL(path).href;
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
  "no server outlives a process that ends by %s",
  async (signal) => {
    const { parent, pids, natsDir } = await startParent();
    expect(pids.map(lives)).toEqual([true, true]);
    parent.kill(signal);
    await waitFor("both servers to end", () => !pids.some(lives));
    // Nothing of the dead is in the way of the next one.
    await (await startNats({ dir: natsDir })).stop();
  },
);

test("without the engine for this platform, the message names CLICKHOUSE_URL", async () => {
  // The launcher alone, in a place without any packages.
  const root = packageRoot();
  for (const name of ["package.json", "analyzer/errors.ts", "analyzer/embedded"]) {
    cpSync(join(root, name), join(dir.path, name), { recursive: true });
  }
  const script = join(dir.path, "start.mts");
  writeFileSync(
    script,
    `import { startClickHouse } from "./analyzer/embedded/clickhouse.ts";
     await startClickHouse({ dir: "clickhouse" }).catch((error) => console.log(error.code, error.message));`,
  );
  const { NODE_OPTIONS: _, ...env } = process.env;
  const output = execFileSync(process.execPath, ["--import", tsxLoader(), script], {
    cwd: dir.path,
    env,
    encoding: "utf8",
  });
  expect(output).toMatch(
    /^EMBEDDED_UNSUPPORTED no embedded ClickHouse for \w+ \w+ \(.*ffi-rs.*\): set CLICKHOUSE_URL to a ClickHouse 25.3 or later/,
  );
});

test("a server that does not listen to SIGTERM is killed after its grace period", async () => {
  const server = await startProgram({
    title: "a stubborn server",
    program: process.execPath,
    args: ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')"],
    logPath: join(dir.path, "stubborn.log"),
    graceMs: 300,
  });
  const before = performance.now();
  await server.stop();
  expect(performance.now() - before).toBeLessThan(2500);
  expect(lives(server.pid)).toBe(false);
});

test("a program that cannot be run is an error that says so", async () => {
  const starting = startProgram({
    title: "a missing server",
    program: join(dir.path, "missing"),
    args: [],
    logPath: join(dir.path, "missing.log"),
  });
  await expect(starting).rejects.toMatchObject({
    code: "EMBEDDED_FAILED",
    message: expect.stringMatching(/a missing server did not start: .*ENOENT/),
  });
});
