import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AnalyzerError } from "../errors.ts";
import { lockDataDir } from "./data-dir.ts";
import { choosePorts } from "./ports.ts";
import { type EmbeddedLog, type ServerProcess, startScript, tailOf } from "./process.ts";

export interface ClickHouseOptions {
  /** Everything of this server: data and log. Made when missing. */
  dir: string;
  /** 0 (the default): a free one. */
  httpPort?: number;
  /** The native protocol; 0 (the default): a free one. */
  tcpPort?: number;
  log?: EmbeddedLog;
}

export interface ClickHouseServer extends ServerProcess {
  /** http://127.0.0.1:PORT; user `default` without a password; a console for people under /play */
  readonly url: string;
  /** The HTTP port. */
  readonly port: number;
  readonly tcpPort: number;
  readonly version: string;
}

const READY_MS = 60_000;

/**
 * Starts the ClickHouse engine of npm's @chdb/lib-* as a server process of its own, on loopback only, and tests it before
 * anything is stored: the way it is started is thinly documented, so a version that behaves otherwise must show here.
 *
 * @throws AnalyzerError EMBEDDED_UNSUPPORTED (not for this platform), PORT_TAKEN, EMBEDDED_FAILED
 */
export async function startClickHouse(options: ClickHouseOptions): Promise<ClickHouseServer> {
  const dir = resolve(options.dir);
  const lock = lockDataDir(dir, "ClickHouse");
  try {
    const anyPort = (options.httpPort ?? 0) === 0 && (options.tcpPort ?? 0) === 0;
    for (let attempt = 1; ; attempt++) {
      try {
        return await startOnce(options, dir, lock);
      } catch (error) {
        const isPort = error instanceof AnalyzerError && error.code === "PORT_TAKEN";
        if (!isPort || !anyPort || attempt === 3) throw error;
      }
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function startOnce(
  options: ClickHouseOptions,
  dir: string,
  lock: ReturnType<typeof lockDataDir>,
): Promise<ClickHouseServer> {
  const [httpPort = 0, tcpPort = 0] = await choosePorts([
    { name: "ClickHouse HTTP", port: options.httpPort ?? 0 },
    { name: "ClickHouse native TCP", port: options.tcpPort ?? 0 },
  ]);
  const dataDir = join(dir, "data");
  mkdirSync(dataDir, { recursive: true });
  const server = await startScript({
    title: "ClickHouse",
    script: fileURLToPath(new URL("./clickhouse-process.mjs", import.meta.url)),
    args: [dataDir, String(httpPort), String(tcpPort)],
    logPath: join(dir, "clickhouse-server.log"),
    stopBy: (child) => child.kill("SIGTERM"),
  }).catch((error: unknown) => {
    if (error instanceof AnalyzerError && error.code === "EMBEDDED_UNSUPPORTED") {
      throw new AnalyzerError(
        "EMBEDDED_UNSUPPORTED",
        `no embedded ClickHouse for ${process.platform} ${process.arch} (${error.message}): ` +
          "set CLICKHOUSE_URL to a ClickHouse 25.3 or later",
        { cause: error },
      );
    }
    throw error;
  });
  lock.handTo(server.pid);
  void server.exited.then((exit) => {
    lock.release();
    options.log?.info({ ...exit, pid: server.pid }, "embedded ClickHouse has ended");
  });

  const url = `http://127.0.0.1:${httpPort}`;
  try {
    await untilReady(url, server);
    const version = await selfTest(url, dataDir);
    options.log?.info({ url, pid: server.pid, version, dir }, "embedded ClickHouse is ready");
    return { ...server, url, port: httpPort, tcpPort, version };
  } catch (error) {
    await server.kill();
    const said = await tailOf(server.logPath);
    if (said.includes("Address already in use")) {
      throw new AnalyzerError(
        "PORT_TAKEN",
        `port 127.0.0.1:${httpPort} or ${tcpPort} for ClickHouse is in use`,
      );
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new AnalyzerError(
      "EMBEDDED_FAILED",
      `the embedded ClickHouse ${reason}${said === "" ? "" : `; its last words (${server.logPath}): ${said}`}`,
      { cause: error },
    );
  }
}

async function untilReady(url: string, server: ServerProcess): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (server.running()) {
    const answer = await fetch(`${url}/ping`, { signal: AbortSignal.timeout(5000) })
      .then((response) => response.text())
      .catch(() => "");
    if (answer === "Ok.\n") return;
    if (Date.now() > deadline) throw new Error(`did not answer within ${READY_MS} ms`);
    await sleep(25);
  }
  throw new Error("ended at once");
}

/** Everything that the store relies on and that an engine started in this way might not do. Returns the version. */
async function selfTest(url: string, dataDir: string): Promise<string> {
  const database = "shadowgraph_self_test";
  const table = `${database}.rows`;
  const ask = async (query: string): Promise<string> => {
    const response = await fetch(url, {
      method: "POST",
      body: query,
      signal: AbortSignal.timeout(30_000),
    });
    const text = (await response.text()).trim();
    if (!response.ok) throw new Error(`failed its self-test: ${text.slice(0, 500)}`);
    return text;
  };
  const expect = async (query: string, wanted: string): Promise<void> => {
    const came = await ask(query);
    if (came !== wanted) {
      throw new Error(`failed its self-test: "${query}" gave "${came}", expected "${wanted}"`);
    }
  };

  // Ours, and not another server that took the port between choosing and listening.
  await expect("SELECT path FROM system.disks WHERE name = 'default'", join(dataDir, "/"));
  await ask(`DROP DATABASE IF EXISTS ${database} SYNC`);
  await ask(`CREATE DATABASE ${database} ENGINE = Atomic`);
  await ask(
    `CREATE TABLE ${table} (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`,
  );
  const insert = `INSERT INTO ${table} SETTINGS insert_deduplication_token = 'a' SELECT number FROM numbers(3)`;
  await ask(insert);
  await ask(insert);
  await expect(`SELECT count(), sum(n) FROM ${table}`, "3\t3");
  await ask(`DROP DATABASE ${database} SYNC`);
  return ask("SELECT version()");
}
