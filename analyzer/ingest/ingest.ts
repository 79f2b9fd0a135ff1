import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Config } from "../config.ts";
import type { JudgedPair } from "../divergence/outcomes.ts";
import { AnalyzerError } from "../errors.ts";
import type { Health } from "../health.ts";
import type { Pair } from "../join/pair.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { openBucket } from "./checkpoint.ts";
import { connectNats } from "./connection.ts";
import { Lane, type OutcomesStore } from "./lane.ts";
import { ensureStream, reviewLimits } from "./stream.ts";
import { Backoff, messageOf, pause, within } from "./wait.ts";

export interface IngestParts {
  readonly store: OutcomesStore;
  readonly judge: (pair: Pair) => JudgedPair;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: Log;
}

/**
 * Reads the stream until the signal says stop; then finishes the writes that are in flight, saves the checkpoints and
 * frees the lanes.
 * @throws AnalyzerError when waiting would not help: NATS_VERSION, STREAM_MISMATCH, LANES_CHANGED, CHECKPOINT_INVALID
 */
export async function ingest(
  config: Config,
  parts: IngestParts,
  signal: AbortSignal,
): Promise<void> {
  const { health, log, metrics } = parts;
  const connection = await connectNats(config.nats, health.nats, log, signal);
  if (connection === null) return;
  try {
    const opened = await openJournal(connection, config, parts, signal);
    if (opened === null) return;

    // One lane's fatal error stops the others in good order.
    const failure = new AbortController();
    const either = AbortSignal.any([signal, failure.signal]);
    setMaxListeners(0, signal, either);
    const owner = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
    const { leaseMs, lanes: laneCount } = config.analyzer;
    const lanes: Lane[] = [];
    const takenCount = (): number => lanes.filter((lane) => lane.isTaken).length;
    const tools = {
      ...opened,
      store: parts.store,
      storeMonitor: health.clickhouse,
      judge: parts.judge,
      metrics,
      log,
      // Who has lanes already lets the others go first: so lanes spread over the analyzers that run.
      holdBackMs: () => (takenCount() * leaseMs) / 2,
    };
    for (let lane = 0; lane < laneCount; lane += 1) {
      lanes.push(new Lane(lane, config, owner, tools, either));
    }
    health.watchLanes(
      () => lanes.map((lane) => lane.health()),
      () => lanes.reduce((sum, lane) => sum + lane.waitingCount, 0),
    );
    const ended = await Promise.allSettled(
      lanes.map((lane) =>
        lane.run().catch((error: unknown) => {
          failure.abort();
          throw error;
        }),
      ),
    );
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  } finally {
    await within(1_000, connection.close());
  }
}

/** Stream and checkpoint bucket, as soon as JetStream answers. */
async function openJournal(
  connection: NatsConnection,
  config: Config,
  { health, log }: IngestParts,
  signal: AbortSignal,
) {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      const manager = await jetstreamManager(connection);
      await ensureStream(manager, config.nats.stream, log);
      await reviewLimits(manager, config.nats.stream, config.analyzer.joinWindowMs, log);
      const client = jetstream(connection);
      const bucket = await openBucket(client, config.nats.stream);
      health.nats.up();
      return { jetstream: client, manager, bucket };
    } catch (error) {
      if (error instanceof AnalyzerError) throw error;
      health.nats.down(`JetStream does not answer: ${messageOf(error)}`, "NATS_UNAVAILABLE");
      await pause(backoff.next(), signal);
    }
  }
  return null;
}
