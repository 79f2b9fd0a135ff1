import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { packageRoot } from "../../../analyzer/config/package-root.ts";
import { loadConfig } from "../../../analyzer/config.ts";
import { ensureStream } from "../../../analyzer/ingest/stream.ts";
import { createLog } from "../../../analyzer/log.ts";
import { seededRandom } from "../../support/batches.ts";
import { startClickHouse, type TestClickHouse } from "../../support/clickhouse.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { freePort } from "../../support/ports.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { sleep, waitFor } from "../../support/wait.ts";
import { type Planted, publishTraffic } from "./traffic.ts";

const SEED = 4_711;
const KILLS = 10;
/** The traffic lasts about as long as ten lives of an analyzer. */
const TRAFFIC_MS = 35_000;

let nats: NatsServer;
let clickhouse: TestClickHouse;
let connection: NatsConnection;
let dir: TempDir;
let configFile: string;
let port: number;
let lives = 0;
const processes: ChildProcess[] = [];

beforeAll(async () => {
  dir = tempDir("analyzer-crash");
  [nats, clickhouse, port] = await Promise.all([startNats(), startClickHouse(), freePort()]);
  connection = await connect({ servers: nats.url });
  configFile = join(dir.path, "shadowgraph.yaml");
  writeFileSync(
    configFile,
    `experiments:
  - name: fraud
    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }
    shadows: [ { name: shadow, cluster: fraud-shadow, address: 127.0.0.1:9002 } ]
    shadowTimeoutMs: 1000
nats: { servers: ["${nats.url}"], stream: { maxBytes: 536870912 } }
clickhouse: { url: "${clickhouse.url}" }
analyzer: { joinWindowMs: 3000, flushIntervalMs: 100, flushRowsMax: 2000, leaseMs: 1000 }
http: { port: ${port} }
`,
  );
}, 60_000);

afterAll(async () => {
  for (const child of processes) if (child.exitCode === null) child.kill("SIGKILL");
  await connection?.close();
  await Promise.all([nats?.stop(), clickhouse?.stop()]);
  dir?.remove();
}, 60_000);

function logPath(life: number): string {
  return join(dir.path, `analyzer-${life}.log`);
}

/** One life of the analyzer, as a process like any user's. */
function startAnalyzer(): ChildProcess {
  lives += 1;
  const root = packageRoot().path;
  const log = openSync(logPath(lives), "w");
  const child = spawn(
    process.execPath,
    ["--import", "tsx", join(root, "analyzer/cli/main.ts"), "analyzer", "--config", configFile],
    { cwd: root, stdio: ["ignore", log, log], env: { ...process.env, NODE_OPTIONS: "" } },
  );
  processes.push(child);
  return child;
}

interface LaneState {
  owner: boolean;
  sequence: number;
  lagMessages: number | null;
}

async function health(): Promise<{ lanes: LaneState[]; waiting: number }> {
  const answer = await fetch(`http://127.0.0.1:${port}/health`);
  return (await answer.json()) as { lanes: LaneState[]; waiting: number };
}

async function awaitReading(): Promise<void> {
  try {
    await waitFor("the analyzer to read", async () => (await health()).lanes[0]?.owner, {
      timeoutMs: 60_000,
      intervalMs: 50,
    });
  } catch (cause) {
    const log = readFileSync(logPath(lives), "utf8");
    throw new Error(`analyzer ${lives} does not read; its log:\n${log}`, { cause });
  }
}

test("an analyzer that is killed ten times leaves each row once", async () => {
  const config = loadConfig(configFile, {});
  await ensureStream(
    await jetstreamManager(connection),
    config.nats.stream,
    createLog({ LOG_LEVEL: "silent" }),
  );
  const traffic = publishTraffic(jetstream(connection), { seed: SEED, durationMs: TRAFFIC_MS });

  const random = seededRandom(SEED);
  for (let kill = 0; kill < KILLS; kill += 1) {
    const analyzer = startAnalyzer();
    const exited = once(analyzer, "exit");
    await awaitReading();
    await sleep(random() * 1_500);
    expect(analyzer.exitCode).toBeNull();
    analyzer.kill("SIGKILL");
    await exited;
  }

  const last = startAnalyzer();
  const exited = once(last, "exit");
  const planted = await traffic;
  const lastSequence = (
    await (await jetstreamManager(connection)).streams.info(config.nats.stream.name)
  ).state.last_seq;
  await awaitReading();
  await waitFor(
    "the stream's end",
    async () => {
      const { lanes, waiting } = await health();
      return lanes[0]?.sequence === lastSequence && waiting === 0;
    },
    { timeoutMs: 300_000, intervalMs: 100 },
  );
  last.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);

  expect(await stored()).toEqual(planted);
  const logs = Array.from({ length: KILLS }, (_, i) => readFileSync(logPath(i + 2), "utf8"));
  const interrupted = logs.filter((log) => log.includes("a write was interrupted"));
  // Otherwise the deaths all fell between writes, and nothing was shown.
  expect(interrupted.length).toBeGreaterThan(0);
  // Two idle cores need a minute; a machine that builds other things meanwhile has needed five.
}, 600_000);

/** The same figures, from tables and from rollups where there are both. */
async function stored(): Promise<Planted & Record<string, unknown>> {
  const one = async (sql: string): Promise<Record<string, number>> =>
    (await clickhouse.rows<Record<string, number>>(sql))[0] ?? {};
  const counts = async (sql: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await clickhouse.rows<{ name: string; value: number }>(sql)).map((row) => [
        row.name,
        row.value,
      ]),
    );
  const pairs = await one(
    "SELECT count() AS rows, uniqExact(correlation_id, shadow) AS pairs, sum(divergent) AS divergent, countIf(primary_attempts = 2) AS retried FROM shadowgraph.pairs",
  );
  const rollup = await one(
    "SELECT sum(pairs) AS pairs, sum(divergent_pairs) AS divergent FROM shadowgraph.rollup_pairs_minute",
  );
  const rollupRoutes = await counts(
    "SELECT route AS name, sum(pairs) AS value FROM shadowgraph.rollup_pairs_minute GROUP BY route",
  );
  const findings = await one(
    "SELECT sum(pairs) AS status FROM shadowgraph.rollup_divergences_minute WHERE side = 'shadow' AND rule = 'status-class'",
  );
  const orphans = await counts(
    "SELECT reason AS name, count() AS value FROM shadowgraph.orphans GROUP BY reason",
  );
  const duplicates = await counts(
    "SELECT leg AS name, sum(records) AS value FROM shadowgraph.duplicates GROUP BY leg",
  );
  const letters = await counts(
    "SELECT code AS name, count() AS value FROM shadowgraph.dead_letters GROUP BY code",
  );
  const gaps = await one(
    "SELECT sum(last_missing - first_missing + 1) AS lost FROM shadowgraph.batch_gaps",
  );
  expect({ rows: pairs["rows"], rollup: rollup["pairs"], statuses: findings["status"] }).toEqual({
    rows: pairs["pairs"],
    rollup: pairs["pairs"],
    statuses: rollup["divergent"],
  });
  const { "shadow-missing": shadowMissing, "primary-missing": primaryMissing, ...others } = orphans;
  return {
    pairs: pairs["pairs"] ?? 0,
    divergentPairs: pairs["divergent"] ?? 0,
    shadowMissing: shadowMissing ?? 0,
    primaryMissing: primaryMissing ?? 0,
    duplicates: { primary: duplicates["primary"] ?? 0, shadow: duplicates["shadow"] ?? 0 },
    retriedPairs: pairs["retried"] ?? 0,
    lostBatches: gaps["lost"] ?? 0,
    garbage: letters["WIRE_MALFORMED"] ?? 0,
    unknownExperiment: letters["EXPERIMENT_UNKNOWN"] ?? 0,
    pairsByRoute: rollupRoutes,
    ...others,
  };
}
