import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Config } from "../../analyzer/config.ts";
import { Health } from "../../analyzer/health.ts";
import { decodeCheckpoint, openBucket } from "../../analyzer/ingest/checkpoint.ts";
import { ingest } from "../../analyzer/ingest/ingest.ts";
import { ensureStream } from "../../analyzer/ingest/stream.ts";
import { createMetrics, type Metrics } from "../../analyzer/metrics.ts";
import {
  correlationId,
  FilterWorker,
  type Message,
  publish,
  type RecordOptions,
} from "../support/batches.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { sleep, waitFor } from "../support/wait.ts";
import { judge, RecordingStore, silent, testConfig } from "./support.ts";

const PATIENT = { timeoutMs: 60_000 };

let dir: TempDir;
let server: NatsServer;
let connection: NatsConnection;
let js: JetStreamClient;
let manager: JetStreamManager;
let running: Running[];

interface Running {
  readonly health: Health;
  readonly metrics: Metrics;
  readonly store: RecordingStore;
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

beforeEach(async () => {
  running = [];
  dir = tempDir("ingest");
  server = await startNats({ dir: dir.path, extraConfig: "max_payload: 16MB" });
  connection = await connect({
    servers: server.url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  js = jetstream(connection);
  manager = await jetstreamManager(connection);
}, 60_000);

afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  await connection.close();
  await server.stop();
  dir.remove();
}, 60_000);

function start(config: Config, store = new RecordingStore()): Running {
  const stop = new AbortController();
  const health = new Health(silent);
  const metrics = createMetrics();
  const ended = ingest(config, { store, judge, health, metrics, log: silent }, stop.signal);
  ended.catch(() => undefined);
  const one: Running = {
    health,
    metrics,
    store,
    ended,
    stop: () => {
      stop.abort();
      return ended.catch(() => undefined);
    },
  };
  running.push(one);
  return one;
}

function settings(analyzer: Partial<Config["analyzer"]> = {}, stream = {}): Config {
  const base = { joinWindowMs: 1_000, flushIntervalMs: 20, flushRowsMax: 200, leaseMs: 300 };
  return testConfig(server.url, { ...base, ...analyzer }, stream);
}

/** Both halves of these requests, spread over the partitions. */
function pairs(worker: FilterWorker, from: number, to: number): Message[] {
  const records: RecordOptions[] = [];
  for (let i = from; i < to; i += 1) {
    records.push({ id: correlationId(i), leg: "primary" }, { id: correlationId(i), leg: "shadow" });
  }
  return worker.batches(records);
}

async function streamReady(one: Running): Promise<void> {
  await waitFor("the lanes", () => one.health.snapshot().lanes.some((lane) => lane.owner), PATIENT);
}

async function value(metric: { get(): Promise<{ values: { value: number }[] }> }): Promise<number> {
  return (await metric.get()).values.reduce((sum, entry) => sum + entry.value, 0);
}

describe("a stream", () => {
  test("is created with the configured limits when it is missing", async () => {
    await streamReady(start(settings({}, { maxAgeMs: 120_000, maxBytes: 5_000_000 })));
    const { config } = await manager.streams.info("SHADOWGRAPH");
    expect(config).toMatchObject({
      subjects: ["shadow.v1.>"],
      max_age: 120_000 * 1e6,
      max_bytes: 5_000_000,
      storage: "file",
      retention: "limits",
      discard: "old",
    });
  });

  test("with other subjects is refused with both", async () => {
    await manager.streams.add({ name: "SHADOWGRAPH", subjects: ["orders.>"] });
    await expect(start(settings()).ended).rejects.toMatchObject({
      code: "STREAM_MISMATCH",
      message: expect.stringContaining("orders.>"),
    });
  });

  test("that is deleted and made anew is read from its beginning, under other tokens", async () => {
    const one = start(settings());
    await streamReady(one);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, pairs(worker, 0, 50));
    await waitFor("the first pairs", () => one.store.pairCount === 50, PATIENT);
    await manager.streams.delete("SHADOWGRAPH");
    await waitFor("the new stream", () => manager.streams.info("SHADOWGRAPH"), PATIENT);
    await publish(js, pairs(new FilterWorker("00000000000000bb"), 100, 150));
    await waitFor("the later pairs", () => one.store.pairCount === 100, PATIENT);
    expect(one.store.repeats).toBe(0);
  }, 90_000);

  test("that removed messages before they were read: they are counted as lost", async () => {
    const first = start(settings());
    await streamReady(first);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, pairs(worker, 0, 10));
    await waitFor("the first pairs", () => first.store.pairCount === 10, PATIENT);
    await first.stop();
    await publish(js, pairs(worker, 10, 60));
    const { last_seq: last } = (await manager.streams.info("SHADOWGRAPH")).state;
    const seen = await waitFor("the checkpoint", async () => {
      const entry = await (await openBucket(js, settings().nats.stream)).get("lane.0");
      return entry === null ? null : decodeCheckpoint(entry.value);
    });
    await manager.streams.purge("SHADOWGRAPH", { seq: last - 1 });
    const second = start(settings());
    await waitFor("the rest", () => second.store.pairCount > 0, PATIENT);
    const lost = (await second.metrics.streamMessagesLost.get()).values;
    expect(lost.find(({ labels }) => labels.part === "unread")?.value).toBe(
      last - 2 - seen.done.sequence,
    );
  }, 90_000);

  test("with a message larger than a portion of reading goes on behind it", async () => {
    const one = start(settings());
    await streamReady(one);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, [
      ...pairs(worker, 0, 5),
      { subject: "shadow.v1.fraud.0", id: "giant", text: "x".repeat(9_000_000) },
      ...pairs(worker, 5, 10),
    ]);
    await waitFor("all pairs", () => one.store.pairCount === 10, PATIENT);
    expect(one.store.rows.filter((row) => row.startsWith("dead WIRE_MALFORMED"))).toHaveLength(1);
  }, 90_000);

  test("of many small messages is read by one consumer, portion after portion", async () => {
    const worker = new FilterWorker("00000000000000aa");
    const config = settings();
    await ensureStream(manager, config.nats.stream, silent);
    for (let i = 0; i < 1_000; i += 1) await publish(js, pairs(worker, i, i + 1));
    const one = start(config);
    await waitFor("all pairs", () => one.store.pairCount === 1_000, PATIENT);
    expect(await value(one.metrics.consumersCreated)).toBe(1);
  }, 90_000);
});

describe("a graceful stop", () => {
  test("writes what was joined, and the next start reads on without a repeat", async () => {
    const store = new RecordingStore();
    const slow = settings({ flushIntervalMs: 60_000, flushRowsMax: 1_000_000 });
    const one = start(slow, store);
    await streamReady(one);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, pairs(worker, 0, 100));
    const { last_seq: last } = (await manager.streams.info("SHADOWGRAPH")).state;
    await waitFor("reading", () => one.health.snapshot().lanes[0]?.sequence === last, PATIENT);
    expect(store.pairCount).toBe(0);
    await one.stop();
    await one.ended;
    expect(store.pairCount).toBe(100);

    const two = start(settings(), store);
    await publish(js, pairs(worker, 100, 200));
    await waitFor("the rest", () => store.pairCount === 200, PATIENT);
    await two.stop();
    expect({ repeats: store.repeats, orphans: store.orphanCount }).toEqual({
      repeats: 0,
      orphans: 0,
    });
  }, 90_000);
});

describe("a half without its partner", () => {
  test("becomes an orphan although nothing more comes, by the server's clock", async () => {
    const one = start(settings());
    await streamReady(one);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, worker.batches([{ id: correlationId(1), leg: "primary" }]));
    await waitFor("the orphan", () => one.store.orphanCount === 1, PATIENT);
    expect(one.health.snapshot().waiting).toBe(0);
  }, 90_000);
});

describe("while ClickHouse is away", () => {
  test("the analyzer waits, says so, stops reading at its bound, and loses nothing", async () => {
    const store = new RecordingStore();
    const one = start(settings({ flushRowsMax: 50 }), store);
    await streamReady(one);
    store.isAway = true;
    const worker = new FilterWorker("00000000000000aa");
    for (let i = 0; i < 20; i += 1) await publish(js, pairs(worker, i * 100, (i + 1) * 100));
    await waitFor(
      "the health to say so",
      () => one.health.snapshot().clickhouse.state === "down",
      PATIENT,
    );
    await sleep(500);
    const { last_seq: last } = (await manager.streams.info("SHADOWGRAPH")).state;
    expect(last - (one.health.snapshot().lanes[0]?.sequence ?? last)).toBeGreaterThan(200);
    expect(await value(one.metrics.writeRetries)).toBeGreaterThan(0);
    expect(await value(one.metrics.readingPaused)).toBe(1);
    store.isAway = false;
    await waitFor("all pairs", () => store.pairCount === 2_000, PATIENT);
    expect(one.health.snapshot().clickhouse.state).toBe("up");
    await one.stop();
    expect(store.orphanCount).toBe(0);
    expect(new Set(store.rows).size).toBe(2_000);
  }, 90_000);
});

describe("NATS killed and started again", () => {
  test("while the analyzer reads: it goes on where it was, without a loss or a repeat", async () => {
    const one = start(settings({ joinWindowMs: 5_000 }));
    await streamReady(one);
    const worker = new FilterWorker("00000000000000aa");
    for (let i = 0; i < 5; i += 1) {
      await publish(js, pairs(worker, i * 200, (i + 1) * 200));
      await server.kill();
      if (i === 0) {
        await waitFor(
          "the health to say so",
          () => one.health.snapshot().nats.state === "down",
          PATIENT,
        );
      }
      await sleep(200);
      server = await startNats({
        dir: dir.path,
        port: server.port,
        extraConfig: "max_payload: 16MB",
      });
      await waitFor("the connection", () => connection.rtt(), PATIENT);
    }
    await waitFor("all pairs", () => one.store.pairCount === 1_000, PATIENT);
    await waitFor("the health", () => one.health.snapshot().nats.state === "up", PATIENT);
    await sleep(500);
    expect(one.store.pairCount).toBe(1_000);
    expect({ orphans: one.store.orphanCount, contradictions: one.store.contradictions }).toEqual({
      orphans: 0,
      contradictions: [],
    });
    expect(new Set(one.store.rows).size).toBe(1_000);
  }, 180_000);

  test("before the analyzer starts: it waits for it", async () => {
    await server.kill();
    const one = start(settings());
    await waitFor(
      "the health to say so",
      () => one.health.snapshot().nats.state === "down",
      PATIENT,
    );
    server = await startNats({ dir: dir.path, port: server.port });
    await streamReady(one);
    expect(one.health.snapshot().nats.state).toBe("up");
  }, 90_000);
});

describe("two analyzers", () => {
  const lanesOf = (one: Running): number[] =>
    one.health
      .snapshot()
      .lanes.filter(({ owner }) => owner)
      .map(({ lane }) => lane);

  test("share the lanes, and when one is gone the other reads all of them, each row once", async () => {
    const store = new RecordingStore();
    const config = settings({ lanes: 2, leaseMs: 1_000 });
    const [a, b] = [start(config, store), start(config, store)];
    await waitFor("a lane each", () => lanesOf(a).length === 1 && lanesOf(b).length === 1, PATIENT);
    const worker = new FilterWorker("00000000000000aa");
    await publish(js, [...pairs(worker, 0, 500), worker.ledger(1, { seen: 500, sampled: 500 })]);
    await waitFor("the pairs of both", () => store.pairCount === 500, PATIENT);
    await a.stop();
    await publish(js, pairs(worker, 500, 1_000));
    await waitFor("the pairs of one", () => store.pairCount === 1_000, PATIENT);
    expect(lanesOf(b)).toEqual([0, 1]);
    await b.stop();
    expect(store.orphanCount).toBe(0);
    expect(store.rows.filter((row) => row.startsWith("ledger"))).toHaveLength(1);
    expect(store.rows.filter((row) => row.startsWith("gap"))).toHaveLength(0);
    expect(new Set(store.rows).size).toBe(1_001);
  }, 120_000);

  test("and one lane: the standby takes over when the owner hangs, and the owner's late write changes nothing", async () => {
    const store = new RecordingStore();
    const config = settings({ leaseMs: 1_000 });
    // The owner's write hangs, then arrives long after it was replaced; its lease is not renewed meanwhile either.
    let letGo: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const slow = new RecordingStore();
    slow.write = async (outcomes) => {
      await hanging;
      await store.write(outcomes);
    };
    const owner = start(config, slow);
    await streamReady(owner);
    const standby = start(config, store);
    await publish(js, pairs(new FilterWorker("00000000000000aa"), 0, 300));
    await sleep(300);
    const bucket = await openBucket(js, config.nats.stream);
    await waitFor("the intent", async () => {
      const entry = await bucket.get("lane.0");
      return entry !== null && decodeCheckpoint(entry.value).end !== null;
    });
    // What a take-over after silence does, at once: another name in the lease.
    await waitFor("the take-over", async () => {
      const entry = await bucket.get("lane.0");
      if (entry === null) return false;
      const taken = { ...decodeCheckpoint(entry.value), owner: "" };
      await bucket.update("lane.0", JSON.stringify(taken), entry.revision);
      return true;
    });
    await waitFor("the standby's pairs", () => store.pairCount === 300, PATIENT);
    await waitFor("the owner to know", () => lanesOf(owner).length === 0, PATIENT);
    const { repeats } = store;
    letGo();
    await waitFor("the late write", () => store.repeats > repeats, PATIENT);
    expect(store.contradictions).toEqual([]);
    expect(store.pairCount).toBe(300);
    expect(lanesOf(standby)).toEqual([0]);
  }, 120_000);
});
