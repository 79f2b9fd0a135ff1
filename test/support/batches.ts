import type { JetStreamClient } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { PARTITIONS_DEFAULT, SUBJECT_PREFIX } from "../../wire/format.ts";

/** What a filter worker would publish, written after the table in wire/README.md, for tests that need no Envoy. */

/** Mulberry32: the same numbers for the same seed. Answers 0 to below 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A UUIDv7 that says which request it is. */
export function correlationId(index: number): string {
  const hex = index.toString(16).padStart(12, "0");
  return `01a2076b-4400-7a11-9c3d-${hex}`;
}

/** FNV-1a 32 of the id, modulo the partitions. */
export function partitionOf(id: string, partitions = PARTITIONS_DEFAULT): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash % partitions;
}

export interface RecordOptions {
  readonly id: string;
  readonly leg: string;
  readonly run?: string;
  readonly attempt?: number;
  readonly final?: boolean;
  readonly status?: number;
  readonly totalUs?: number;
  readonly responseDigest?: string;
  readonly route?: string;
  readonly startedAtUs?: number;
}

/** One record line, without its newline. */
export function recordLine(options: RecordOptions): string {
  return JSON.stringify({
    type: "record",
    id: options.id,
    run: options.run ?? "0f3a5c7e9b1d",
    leg: options.leg,
    attempt: options.attempt ?? 1,
    final: options.final ?? true,
    startedAtUs: options.startedAtUs ?? 1_795_420_800_000_000,
    method: "POST",
    route: options.route ?? "/score/{…}",
    status: options.status ?? 200,
    requestBytes: 120,
    responseBytes: 80,
    requestDigest: "164606499f368e7a2b994101ae854b8f",
    responseDigest: options.responseDigest ?? "b930ffa75a8157e02e693174ede1753a",
    requestContentType: "application/json",
    responseContentType: "application/json",
    firstByteUs: 1_500,
    requestEndUs: 100,
    totalUs: options.totalUs ?? 2_000,
    chunks: 1,
    chunkGapMaxUs: 0,
    ending: "complete",
  });
}

export interface Message {
  readonly subject: string;
  readonly id: string;
  readonly text: string;
}

/** One filter worker: numbers its batches by experiment and partition. */
export class FilterWorker {
  readonly #numbers = new Map<string, number>();

  constructor(
    /** 16 hexadecimal digits. */
    readonly worker: string,
    readonly experiment = "fraud",
    readonly version = "1.0",
  ) {}

  batch(partition: number, lines: readonly string[]): Message {
    const { experiment, worker, version } = this;
    const key = `${experiment}.${partition}`;
    const number = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, number);
    const header = JSON.stringify({
      type: "batch",
      version,
      experiment,
      partition,
      worker,
      number,
      records: lines.length,
      clockUs: 1_795_420_800_000_000,
    });
    return {
      subject: `${SUBJECT_PREFIX}.${experiment}.${partition}`,
      id: `${worker}:${experiment}:${partition}:${number}`,
      text: `${[header, ...lines].join("\n")}\n`,
    };
  }

  /** Records of mixed requests, as one batch for each partition that they fall in. */
  batches(records: readonly RecordOptions[], partitions = PARTITIONS_DEFAULT): Message[] {
    const byPartition = new Map<number, string[]>();
    for (const record of records) {
      const partition = partitionOf(record.id, partitions);
      const lines = byPartition.get(partition) ?? [];
      lines.push(recordLine(record));
      byPartition.set(partition, lines);
    }
    return [...byPartition].map(([partition, lines]) => this.batch(partition, lines));
  }

  ledger(number: number, counts: { seen: number; sampled: number }, run = "0f3a5c7e9b1d"): Message {
    const { experiment, worker, version } = this;
    const reasons = (names: string[]) => Object.fromEntries(names.map((name) => [name, 0]));
    const leg = (name: string) => ({
      leg: name,
      requests: counts.sampled,
      attempts: counts.sampled,
      endings: {
        ...reasons(["reset", "client-left", "no-answer", "streaming"]),
        complete: counts.sampled,
      },
      published: counts.sampled,
      dropped: reasons(["outbox-full", "too-large", "table-full"]),
    });
    return {
      subject: `${SUBJECT_PREFIX}.${experiment}.ledger`,
      id: `${worker}:${experiment}:ledger:${run}:${number}`,
      text: `${JSON.stringify({
        type: "ledger",
        version,
        experiment,
        run,
        worker,
        number,
        clockUs: 1_795_420_800_000_000,
        final: false,
        requests: {
          ...counts,
          unreached: 0,
          unsampled: reasons([
            "fraction",
            "request-size",
            "unknown-length",
            "upgrade",
            "connect",
            "outbox-full",
            "table-full",
          ]),
        },
        legs: [leg("primary"), leg("shadow")],
        batches: { sent: 1, retried: 0, failed: 0 },
      })}\n`,
    };
  }
}

/** Publishes in order, confirmed. */
export async function publish(
  jetstream: JetStreamClient,
  messages: readonly Message[],
): Promise<void> {
  const inFlightMax = 64;
  for (let i = 0; i < messages.length; i += inFlightMax) {
    await Promise.all(
      messages.slice(i, i + inFlightMax).map(({ subject, id, text }) => {
        const header = headers();
        header.set("Nats-Msg-Id", id);
        return jetstream.publish(subject, text, { headers: header, timeout: 10_000 });
      }),
    );
  }
}
