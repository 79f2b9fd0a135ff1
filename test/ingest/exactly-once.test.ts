import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Config } from "../../analyzer/config.ts";
import { Health } from "../../analyzer/health.ts";
import type { CheckpointBucket } from "../../analyzer/ingest/checkpoint.ts";
import { Lane, type OutcomesStore } from "../../analyzer/ingest/lane.ts";
import { ensureStream } from "../../analyzer/ingest/stream.ts";
import { createMetrics } from "../../analyzer/metrics.ts";
import {
  correlationId,
  FilterWorker,
  type Message,
  publish,
  type RecordOptions,
  recordLine,
  seededRandom,
} from "../support/batches.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { sleep, waitFor } from "../support/wait.ts";
import { judge, MemoryBucket, Mortal, RecordingStore, silent, testConfig } from "./support.ts";

const SEED = 20_261_123;
const WINDOW_MS = 400;
/** A dead analyzer's lane is free after it. */
const LEASE_MS = 150;

let server: NatsServer;
let connection: NatsConnection;
let clients: { jetstream: JetStreamClient; manager: JetStreamManager };
let config: Config;
let lastSequence = 0;
const endings: Promise<void>[] = [];

/**
 * A few seconds of traffic with everything that can happen to a record: pairs, either half missing, late halves, repeats,
 * retried primaries, lost batches, garbage, an unknown experiment, ledgers.
 */
async function publishTraffic(): Promise<void> {
  const random = seededRandom(SEED);
  const workers = [new FilterWorker("00000000000000aa"), new FilterWorker("00000000000000bb")];
  const stranger = new FilterWorker("00000000000000cc", "somebody-elses");
  const late: RecordOptions[] = [];
  let request = 0;
  for (let round = 0; round < 60; round += 1) {
    const records: RecordOptions[] = [];
    for (let i = 0; i < 6; i += 1) {
      request += 1;
      const id = correlationId(request);
      const primary = { id, leg: "primary" };
      const shadow = { id, leg: "shadow", status: random() < 0.1 ? 500 : 200 };
      const fate = random();
      if (fate < 0.6) records.push(primary, shadow);
      else if (fate < 0.7) records.push(shadow);
      else if (fate < 0.8) records.push(primary);
      else if (fate < 0.85) records.push(primary, shadow, shadow);
      else if (fate < 0.9) {
        records.push({ ...primary, final: false, status: 503 }, shadow, { ...primary, attempt: 2 });
      } else {
        records.push(primary);
        late.push(shadow);
      }
    }
    // Half of them come within the window of their partner, half after it.
    if (late.length > 12) records.push(...late.splice(0, 6));
    records.sort(() => random() - 0.5);
    const messages: Message[] = [];
    for (const worker of workers) {
      const own = records.splice(0, worker === workers[0] ? records.length / 2 : records.length);
      const partition = Math.floor(random() * 4);
      const message = worker.batch(partition, own.map(recordLine));
      if (random() < 0.95) messages.push(message);
      if (random() < 0.1)
        messages.push(worker.ledger(round + 1, { seen: request, sampled: request }));
    }
    if (random() < 0.2) messages.push({ subject: "shadow.v1.fraud.3", id: `x${round}`, text: "?" });
    if (random() < 0.3) messages.push(stranger.batch(0, []));
    await publish(clients.jetstream, messages);
    await sleep(random() < 0.1 ? 150 : 25);
  }
}

beforeAll(async () => {
  server = await startNats();
  connection = await connect({ servers: server.url });
  clients = { jetstream: jetstream(connection), manager: await jetstreamManager(connection) };
  config = testConfig(server.url, {
    joinWindowMs: WINDOW_MS,
    leaseMs: LEASE_MS,
    flushIntervalMs: 20,
    flushRowsMax: 40,
  });
  await ensureStream(clients.manager, config.nats.stream, silent);
  await publishTraffic();
  lastSequence = (await clients.manager.streams.info(config.nats.stream.name)).state.last_seq;
}, 60_000);

afterAll(async () => {
  await Promise.all(endings);
  await connection.close();
  await server.stop();
}, 60_000);

function startLane(bucket: CheckpointBucket, store: OutcomesStore) {
  const stop = new AbortController();
  const health = new Health(silent);
  const owner = `test-${endings.length}`;
  const lane = new Lane(
    0,
    config,
    owner,
    {
      ...clients,
      bucket,
      store,
      storeMonitor: health.clickhouse,
      judge,
      metrics: createMetrics(),
      log: silent,
      holdBackMs: () => 0,
    },
    stop.signal,
  );
  const ended = lane.run();
  endings.push(ended);
  return { lane, stop, ended };
}

/** Reads everything, with deaths at the given steps of successive processes, and a last one that lives. */
async function history(deaths: readonly number[]) {
  const bucket = new MemoryBucket();
  const store = new RecordingStore();
  const epitaphs: string[] = [];
  for (const dieAt of deaths) {
    const mortal = new Mortal(dieAt);
    const { lane, stop } = startLane(mortal.bucket(bucket), mortal.store(store));
    const finished = waitFor("the end", () => isFinished(lane) || mortal.isDead, {
      timeoutMs: 60_000,
    });
    await Promise.race([mortal.died, finished]);
    // What it does after its death has no effect; this frees its reader.
    stop.abort();
    mortal.bury();
    if (mortal.epitaph !== "") epitaphs.push(mortal.epitaph);
  }
  const { lane, stop, ended } = startLane(bucket, store);
  await waitFor("the end of the stream", () => isFinished(lane), { timeoutMs: 60_000 });
  stop.abort();
  await ended;
  return { store, epitaphs };
}

function isFinished(lane: Lane): boolean {
  return lane.isTaken && lane.health().sequence === lastSequence && lane.waitingCount === 0;
}

describe("an analyzer that dies", () => {
  let expected: string[];

  test("the traffic holds everything that can happen to a record", async () => {
    const { store } = await history([]);
    expected = store.rows;
    const kinds = new Set(
      expected.map((row) => {
        const reason = /shadow-missing|primary-missing|late/.exec(row)?.[0] ?? "";
        const code = /EXPERIMENT_UNKNOWN|WIRE_MALFORMED/.exec(row)?.[0] ?? "";
        return `${row.split(" ")[0]} ${reason}${code}`.trim();
      }),
    );
    expect([...kinds].sort()).toEqual([
      "dead EXPERIMENT_UNKNOWN",
      "dead WIRE_MALFORMED",
      "duplicate",
      "gap",
      "ledger",
      "orphan late",
      "orphan primary-missing",
      "orphan shadow-missing",
      "pair",
    ]);
    expect(store.writes.length).toBeGreaterThan(8);
  }, 60_000);

  test("at any step of any write leaves exactly the rows of one that lives", async () => {
    const random = seededRandom(SEED);
    const seen = new Set<string>();
    let died = 0;
    const one = async (dieAt: number): Promise<void> => {
      // A second death, soon after the first: it falls into the repeat of the interrupted write.
      const { store, epitaphs } = await history([dieAt, Math.floor(random() * 12)]);
      died += epitaphs.length;
      for (const epitaph of epitaphs) seen.add(epitaph);
      expect({ dieAt, contradictions: store.contradictions }).toEqual({
        dieAt,
        contradictions: [],
      });
      expect({ dieAt, rows: withoutGrouping(store.rows) }).toEqual({
        dieAt,
        rows: withoutGrouping(expected),
      });
    };
    const width = 12;
    for (let dieAt = 0; dieAt < 84; dieAt += width) {
      await Promise.all(Array.from({ length: width }, (_, i) => one(dieAt + i)));
    }
    expect(died).toBeGreaterThan(80);
    expect([...seen].sort()).toEqual([
      "after create",
      "after done",
      "after intent",
      "after write",
      "before create",
      "before done",
      "before intent",
      "before write",
    ]);
  }, 180_000);
});

/**
 * Where writes are cut depends on when they were due. That moves the counts of repeats and the newest ledger between
 * writes: sums stay, and so does the last ledger of each worker.
 */
function withoutGrouping(rows: readonly string[]): string[] {
  const duplicates = new Map<string, number>();
  const ledgers = new Map<string, number>();
  const rest: string[] = [];
  for (const row of rows) {
    const [kind, who = "", figure = "0"] = row.split(" ");
    if (kind === "duplicate") duplicates.set(who, (duplicates.get(who) ?? 0) + Number(figure));
    else if (kind === "ledger") ledgers.set(who, Math.max(ledgers.get(who) ?? 0, Number(figure)));
    else rest.push(row);
  }
  return [...rest, ...[...duplicates].map(String), ...[...ledgers].map(String)];
}
