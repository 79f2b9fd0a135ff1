import type { JetStreamClient } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import {
  correlationId,
  FilterWorker,
  type Message,
  partitionOf,
  seededRandom,
} from "../../test/support/batches.ts";

export interface Traffic {
  readonly requests: number;
  readonly recordsPerBatch: number;
  readonly control: boolean;
}

export const EXPERIMENT = "bench";
/** Of the requests; half of them another status, half another body. */
const DIVERGENT_SHARE = 0.05;
/** The mirrored answers come so many requests after the primary's: most, not all, are in the same batch. */
const MIRROR_LATER = 8;
const ROUTES = [
  "/score",
  "/score/{…}",
  "/accounts/{…}/limits",
  "/accounts/{…}",
  "/rules",
  "/rules/{…}/history",
];
const COUNTRIES = ["DE", "FR", "PL", "SE", "US"];
const SEED = 20_260_101;
const IN_FLIGHT_MAX = 64;

/** Messages as two filter workers would publish them: batches by partition, filled by mixed requests. */
export function* messages({
  requests,
  recordsPerBatch,
  control,
}: Traffic): Generator<Message & { records: number }> {
  const random = seededRandom(SEED);
  const workers = ["8899aabbccddeeff", "0123456789abcdef"].map((id) => ({
    worker: new FilterWorker(id, EXPERIMENT),
    open: new Map<number, string[]>(),
  }));
  const mirrored: { id: string; lines: string[] }[] = [];

  function* put(index: number, id: string, lines: readonly string[]) {
    const { worker, open } = workers[index % workers.length] as (typeof workers)[number];
    const partition = partitionOf(id);
    const held = open.get(partition) ?? [];
    held.push(...lines);
    open.set(partition, held);
    if (held.length < recordsPerBatch) return;
    open.set(partition, []);
    yield { ...worker.batch(partition, held), records: held.length };
  }

  for (let index = 0; index < requests + MIRROR_LATER; index += 1) {
    if (index < requests) {
      const request = record(index, random);
      const change = differs(random);
      yield* put(index, request.id, [JSON.stringify(request)]);
      const shadow = { ...request, ...times(random), ...change, leg: "shadow" };
      const lines = [JSON.stringify(shadow)];
      if (control) lines.push(JSON.stringify({ ...request, ...times(random), leg: "control" }));
      mirrored.push({ id: request.id, lines });
    }
    const late = mirrored[index - MIRROR_LATER];
    if (late !== undefined) yield* put(index - MIRROR_LATER, late.id, late.lines);
  }
  for (const { worker, open } of workers) {
    for (const [partition, held] of open) {
      if (held.length > 0) yield { ...worker.batch(partition, held), records: held.length };
    }
  }
}

/** About 570 bytes a line, as the filter writes it of a JSON API behind Envoy. */
function record(index: number, random: () => number) {
  return {
    type: "record",
    id: correlationId(index),
    run: "0f3a5c7e9b1d",
    leg: "primary",
    attempt: 1,
    final: true,
    startedAtUs: 1_795_420_800_000_000 + index * 100,
    method: index % 4 === 0 ? "GET" : "POST",
    route: ROUTES[Math.floor(random() * ROUTES.length)] as string,
    status: 200,
    requestBytes: 120 + Math.floor(random() * 900),
    responseBytes: 80 + Math.floor(random() * 4_000),
    requestDigest: digest(random),
    responseDigest: digest(random),
    requestContentType: "application/json",
    responseContentType: "application/json",
    ...times(random),
    chunks: 1,
    chunkGapMaxUs: 0,
    ending: "complete",
    segments: { "x-country": COUNTRIES[Math.floor(random() * COUNTRIES.length)] as string },
  };
}

function times(random: () => number) {
  const firstByteUs = 900 + Math.floor(random() ** 4 * 30_000);
  return { firstByteUs, requestEndUs: 90, totalUs: firstByteUs + Math.floor(random() * 300) };
}

function differs(random: () => number) {
  const chance = random();
  if (chance >= DIVERGENT_SHARE) return {};
  return chance < DIVERGENT_SHARE / 2 ? { status: 500 } : { responseDigest: digest(random) };
}

function digest(random: () => number): string {
  let text = "";
  while (text.length < 32) {
    text += Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  }
  return text;
}

export interface Published {
  readonly messages: number;
  readonly records: number;
  readonly bytes: number;
  readonly lastSequence: number;
}

/** Stored by NATS when this ends. The messages are made meanwhile: a whole stream of them need not fit into memory. */
export async function publishTraffic(
  jetstream: JetStreamClient,
  traffic: Traffic,
): Promise<Published> {
  const sum = { messages: 0, records: 0, bytes: 0, lastSequence: 0 };
  const source = messages(traffic);
  const publisher = async (): Promise<void> => {
    for (const { subject, id, text, records } of source) {
      const header = headers();
      header.set("Nats-Msg-Id", id);
      sum.messages += 1;
      sum.records += records;
      sum.bytes += Buffer.byteLength(text);
      const ack = await jetstream.publish(subject, text, { headers: header, timeout: 30_000 });
      sum.lastSequence = Math.max(sum.lastSequence, ack.seq);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT_MAX }, publisher));
  return sum;
}
