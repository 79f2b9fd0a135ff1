import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { packageRoot } from "./config/package-root.ts";
import type { Config } from "./config.ts";
import { judge } from "./divergence/compare.ts";
import type { JudgedPair } from "./divergence/outcomes.ts";
import { AnalyzerError } from "./errors.ts";
import { Health } from "./health.ts";
import { buildServer } from "./http/server.ts";
import { ingest } from "./ingest/ingest.ts";
import { Backoff, messageOf, pause } from "./ingest/wait.ts";
import type { Pair } from "./join/pair.ts";
import type { Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { connectStore, type Store } from "./storage/store.ts";

export interface RunOptions {
  readonly log: Log;
  /** Abort means: finish what is in flight, save the checkpoints, return. */
  readonly signal: AbortSignal;
  /** Called once, with the address of the page and the API. */
  readonly onListening?: (address: string) => void;
}

/** So often ClickHouse is asked whether it is there, beside the writes, which find out by themselves. */
const PING_INTERVAL_MS = 5_000;

/**
 * The analyzer, until the signal says stop or until waiting would not help. NATS and ClickHouse may be away at any time,
 * also at the start: it waits for them, and /health says so meanwhile.
 * @throws AnalyzerError PORT_TAKEN, NATS_VERSION, STREAM_MISMATCH, LANES_CHANGED, CHECKPOINT_INVALID, CLICKHOUSE_VERSION,
 * MIGRATION_CHANGED
 */
export async function runAnalyzer(config: Config, options: RunOptions): Promise<void> {
  const { log } = options;
  const health = new Health(log);
  const metrics = createMetrics();
  // What is fatal in one part stops the others in good order.
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const store = await connectStore(config.clickhouse, log);
  const server = buildServer({
    config,
    health,
    queries: store.queries,
    metrics: () => scrape(metrics, health),
    log,
    dashboardDir: join(packageRoot().path, "build", "dashboard"),
  });
  try {
    const address = await listen(server, config.http);
    log.info({ address, version: packageRoot().version }, "analyzer runs, API and page listen");
    options.onListening?.(address);
    const schema = prepareSchema(store, config, health, signal);
    const parts = [
      ingest(
        config,
        { store: afterSchema(store, schema), judge: judgeOf(config), health, metrics, log },
        signal,
      ),
      schema.then(() => watchStore(store, health, signal)),
    ].map((part) =>
      part.catch((error: unknown) => {
        failure.abort();
        throw error;
      }),
    );
    const ended = await Promise.allSettled(parts);
    for (const end of ended) if (end.status === "rejected") throw end.reason;
    log.info("analyzer has stopped in good order");
  } finally {
    await server.close();
    await store.close();
  }
}

async function listen(server: FastifyInstance, { host, port }: Config["http"]): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new AnalyzerError(
      "PORT_TAKEN",
      `port ${host}:${port} for the API and the page is taken: stop what listens there or choose another http.port`,
      { cause },
    );
  }
}

function judgeOf({ experiments }: Config): (pair: Pair) => JudgedPair {
  const byName = new Map(experiments.map((experiment) => [experiment.name, experiment]));
  return (pair) => {
    const experiment = byName.get(pair.experiment);
    // The joiner answers legs of configured experiments only.
    if (experiment === undefined) throw new Error(`pair of unknown experiment ${pair.experiment}`);
    return judge(pair, experiment);
  };
}

/** True when tables and columns are up to date, however long ClickHouse is away; false when the signal said stop first. */
async function prepareSchema(
  store: Store,
  { retention, experiments }: Config,
  health: Health,
  signal: AbortSignal,
): Promise<boolean> {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      await store.migrate({ retention, experiments });
      health.clickhouse.up();
      return true;
    } catch (error) {
      if (!noteAway(error, health)) throw error;
      await pause(backoff.next(), signal);
    }
  }
  return false;
}

function afterSchema(store: Store, schema: Promise<boolean>): Pick<Store, "write"> {
  return {
    write: async (outcomes) => {
      if (!(await schema)) {
        throw new AnalyzerError("CLICKHOUSE_UNAVAILABLE", "stopped before ClickHouse was reached");
      }
      await store.write(outcomes);
    },
  };
}

async function watchStore(store: Store, health: Health, signal: AbortSignal): Promise<void> {
  // A failed write is taken back by a write: the server may answer and still refuse our rows.
  let isAway = false;
  while (!signal.aborted) {
    await pause(PING_INTERVAL_MS, signal);
    if (signal.aborted) return;
    try {
      await store.ping();
      if (isAway) health.clickhouse.up();
      isAway = false;
    } catch (error) {
      if (!noteAway(error, health)) throw error;
      isAway = true;
    }
  }
}

/** False when waiting would not help. */
function noteAway(error: unknown, health: Health): boolean {
  const code = error instanceof AnalyzerError ? error.code : "INTERNAL";
  if (code !== "CLICKHOUSE_UNAVAILABLE" && code !== "CLICKHOUSE_REFUSED") return false;
  health.clickhouse.down(messageOf(error), code);
  return true;
}

async function scrape(metrics: Metrics, health: Health): Promise<string> {
  const { nats, clickhouse } = health.snapshot();
  metrics.serviceUp.set({ service: "nats" }, nats.state === "up" ? 1 : 0);
  metrics.serviceUp.set({ service: "clickhouse" }, clickhouse.state === "up" ? 1 : 0);
  return metrics.registry.metrics();
}
