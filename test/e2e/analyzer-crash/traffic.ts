import type { JetStreamClient } from "@nats-io/jetstream";
import {
  correlationId,
  FilterWorker,
  type Message,
  partitionOf,
  publish,
  type RecordOptions,
  recordLine,
  seededRandom,
} from "../../support/batches.ts";
import { sleep } from "../../support/wait.ts";

const PAIRS = 100_000;
/** Requests of one publishing round; all records of a request are published in the same round. */
const ROUND_REQUESTS = 2_000;
const ROUTES = ["/score/{…}", "/accounts", "/accounts/{…}/limits"];

/** What must be in ClickHouse in the end. */
export interface Planted {
  pairs: number;
  divergentPairs: number;
  shadowMissing: number;
  primaryMissing: number;
  /** Records by leg that came twice. */
  duplicates: { primary: number; shadow: number };
  retriedPairs: number;
  lostBatches: number;
  garbage: number;
  unknownExperiment: number;
  pairsByRoute: Record<string, number>;
}

/** Publishes 100,000 pairs and what else can happen, over about `durationMs`. */
export async function publishTraffic(
  jetstream: JetStreamClient,
  { seed, durationMs }: { seed: number; durationMs: number },
): Promise<Planted> {
  const random = seededRandom(seed);
  const workers = ["00000000000000a1", "00000000000000a2", "00000000000000b1"].map(
    (name) => new FilterWorker(name),
  );
  const planted: Planted = {
    pairs: 0,
    divergentPairs: 0,
    shadowMissing: 0,
    primaryMissing: 0,
    duplicates: { primary: 0, shadow: 0 },
    retriedPairs: 0,
    lostBatches: 0,
    garbage: 0,
    unknownExperiment: 0,
    pairsByRoute: Object.fromEntries(ROUTES.map((route) => [route, 0])),
  };
  const started = performance.now();
  let request = 0;
  for (let round = 1; planted.pairs < PAIRS; round += 1) {
    const records: RecordOptions[] = [];
    for (let i = 0; i < ROUND_REQUESTS && planted.pairs < PAIRS; i += 1) {
      request += 1;
      plantRequest(correlationId(request), random, records, planted);
    }
    const messages = seal(records, workers, random, planted);
    for (const [i, worker] of workers.entries()) {
      if (random() < 0.2)
        messages.push(worker.ledger(round * 3 + i, { seen: request, sampled: request }));
    }
    if (random() < 0.3) {
      planted.garbage += 1;
      messages.push({
        subject: "shadow.v1.fraud.3",
        id: `garbage-${round}`,
        text: "not a batch\n",
      });
    }
    await publish(jetstream, messages);
    const due = started + (durationMs * planted.pairs) / PAIRS;
    await sleep(Math.max(0, due - performance.now()));
  }
  return planted;
}

function plantRequest(
  id: string,
  random: () => number,
  records: RecordOptions[],
  planted: Planted,
): void {
  const route = ROUTES[Math.floor(random() * ROUTES.length)] as string;
  const primary = { id, leg: "primary", route };
  const shadow = { id, leg: "shadow", route };
  const fate = random();
  if (fate < 0.003) {
    planted.shadowMissing += 1;
    records.push(primary);
    return;
  }
  if (fate < 0.005) {
    planted.primaryMissing += 1;
    records.push(shadow);
    return;
  }
  planted.pairs += 1;
  planted.pairsByRoute[route] = (planted.pairsByRoute[route] ?? 0) + 1;
  const status = random() < 0.02 ? 500 : 200;
  if (status === 500) planted.divergentPairs += 1;
  if (fate < 0.015) {
    planted.retriedPairs += 1;
    records.push({ ...primary, final: false, status: 503 });
    records.push({ ...primary, attempt: 2 }, { ...shadow, status });
    return;
  }
  records.push(primary, { ...shadow, status });
  if (fate < 0.018) {
    planted.duplicates.primary += 1;
    records.push(primary);
  } else if (fate < 0.02) {
    planted.duplicates.shadow += 1;
    records.push({ ...shadow, status });
  }
}

/** Batches of some tens of records, in each partition from some worker; now and then a number that is never sent. */
function seal(
  records: readonly RecordOptions[],
  workers: readonly FilterWorker[],
  random: () => number,
  planted: Planted,
): Message[] {
  const messages: Message[] = [];
  const open = new Map<number, string[]>();
  const send = (partition: number, lines: readonly string[]): void => {
    const worker = workers[Math.floor(random() * workers.length)] as FilterWorker;
    if (random() < 0.01) {
      planted.lostBatches += 1;
      worker.batch(partition, []);
    }
    messages.push(worker.batch(partition, lines));
  };
  for (const record of records) {
    const partition = partitionOf(record.id);
    const lines = open.get(partition) ?? [];
    open.set(partition, lines);
    lines.push(recordLine(record));
    if (lines.length >= 20 + random() * 200) {
      send(partition, lines);
      open.delete(partition);
    }
  }
  for (const [partition, lines] of open) send(partition, lines);
  // The last number of a worker and partition must not be a lost one: nothing would show the hole.
  for (const worker of workers) {
    for (let partition = 0; partition < 16; partition += 1) {
      messages.push(worker.batch(partition, []));
    }
  }
  return messages;
}
