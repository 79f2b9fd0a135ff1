/*
 * Every number that the filter counts, in fixed cells, and the same as Envoy counters.
 *
 * Counting is one addition in memory. What has grown is handed to Envoy on the tick, so a request pays no host call for it and
 * /stats is at most one tick behind. The names carry the labels, since the ABI has none; `stats_config` in Envoy's bootstrap takes
 * them out again, and /stats/prometheus then shows for example
 * `shadowgraph_leg_endings_total{role="observer",experiment="fraud",leg="shadow",ending="reset"}`.
 *
 * Names as defined (Envoy puts `wasmcustom.` in front), E = experiment, L = leg:
 *
 *   shadowgraph_requests_seen.role.tagger.experiment.E.total           requests that matched
 *   shadowgraph_requests_sampled.role.tagger.experiment.E.total
 *   shadowgraph_requests_unreached.role.tagger.experiment.E.total      sampled, ended before the primary leg began
 *   shadowgraph_requests_unsampled.role.tagger.experiment.E.reason.R.total   R: fraction, request-size, unknown-length, upgrade,
 *                                                                            connect, outbox-full, table-full
 *   shadowgraph_leg_requests.role.observer.experiment.E.leg.L.total    first attempts
 *   shadowgraph_leg_attempts.role.observer.experiment.E.leg.L.total
 *   shadowgraph_leg_endings.role.observer.experiment.E.leg.L.ending.X.total  X: complete, reset, client-left, no-answer, streaming
 *   shadowgraph_records_published.role.outbox.experiment.E.leg.L.total
 *   shadowgraph_records_dropped.role.outbox.experiment.E.leg.L.reason.R.total   R: outbox-full, too-large, table-full
 *   shadowgraph_batches_sent.role.outbox.experiment.E.total            messages answered with PONG
 *   shadowgraph_batches_retried.role.outbox.experiment.E.total         sendings repeated
 *   shadowgraph_batches_failed.role.outbox.experiment.E.total          given up
 *   shadowgraph_nats_calls.role.outbox.total                           calls to NATS, probes included
 *   shadowgraph_nats_failures.role.outbox.cause.C.total                C: network, no-answer, authentication, permissions,
 *                                                                      missing-cluster, no-endpoint, too-large, protocol
 *   shadowgraph_outbox.role.outbox.bytes                               gauge: memory that waiting records hold, all workers together
 *
 * The labels, for Envoy's bootstrap (each expression is anchored, so that an experiment called "leg" is not taken for a label):
 *
 *   stats_config:
 *     stats_tags:
 *       - tag_name: role
 *         regex: '^wasmcustom\.shadowgraph_\w+\.(role\.(\w+)\.)'
 *       - tag_name: experiment
 *         regex: '^wasmcustom\.shadowgraph_\w+\.role\.\w+\.(experiment\.([^.]+)\.)'
 *       - tag_name: leg
 *         regex: '^wasmcustom\.shadowgraph_\w+\.role\.\w+\.experiment\.[^.]+\.(leg\.([^.]+)\.)'
 *       - tag_name: ending
 *         regex: '^wasmcustom\.shadowgraph_\w+\.role\.\w+\.experiment\.[^.]+\.leg\.[^.]+\.(ending\.([^.]+)\.)'
 *       - tag_name: reason
 *         regex: '^wasmcustom\.shadowgraph_\w+\.role\.\w+\.experiment\.[^.]+\.(?:leg\.[^.]+\.)?(reason\.([^.]+)\.)'
 *       - tag_name: cause
 *         regex: '^wasmcustom\.shadowgraph_\w+\.role\.\w+\.(cause\.([^.]+)\.)'
 */
import {
  DROPPED_OUTBOX_FULL,
  DROPPED_TABLE_FULL,
  DROPPED_TOO_LARGE,
  Dropped,
  ENDING_CLIENT_LEFT,
  ENDING_COMPLETE,
  ENDING_NO_ANSWER,
  ENDING_RESET,
  ENDING_STREAMING,
  Ending,
  LEGS_MAX,
  UNSAMPLED_CONNECT,
  UNSAMPLED_FRACTION,
  UNSAMPLED_OUTBOX_FULL,
  UNSAMPLED_REQUEST_SIZE,
  UNSAMPLED_TABLE_FULL,
  UNSAMPLED_UNKNOWN_LENGTH,
  UNSAMPLED_UPGRADE,
  Unsampled,
} from "../wire/format";
import { defineMetric, incrementMetric, METRIC_NONE, MetricType } from "./host/metrics";

/** Ledgers of one worker at a time: at most 16 experiments, each in its old and its new run. */
export const LEDGERS_MAX = 32;

// A ledger's cells: first those of its requests and batches, then those of each leg.
export const SEEN = 0;
export const SAMPLED = 1;
export const UNREACHED = 2;
export const UNSAMPLED = 3;
export const UNSAMPLED_REASONS = 7;
export const BATCHES_SENT = UNSAMPLED + UNSAMPLED_REASONS;
export const BATCHES_RETRIED = BATCHES_SENT + 1;
export const BATCHES_FAILED = BATCHES_SENT + 2;
export const LEGS = BATCHES_SENT + 3;

export const LEG_REQUESTS = 0;
export const LEG_ATTEMPTS = 1;
export const LEG_ENDINGS = 2;
export const ENDINGS = 5;
export const LEG_PUBLISHED = LEG_ENDINGS + ENDINGS;
export const LEG_DROPPED = LEG_PUBLISHED + 1;
export const DROPPED_REASONS = 3;
export const LEG_CELLS = LEG_DROPPED + DROPPED_REASONS;

export const LEDGER_CELLS = LEGS + LEGS_MAX * LEG_CELLS;

/** Why a call to NATS was not taken; the order of CAUSE_NAMES. */
export enum Cause {
  None = 0,
  Network = 1,
  NoAnswer = 2,
  Authentication = 3,
  Permissions = 4,
  MissingCluster = 5,
  NoEndpoint = 6,
  TooLarge = 7,
  Protocol = 8,
}
const CAUSES = 9;

// The worker's own cells, after those of all ledgers.
const WORKER = LEDGERS_MAX * LEDGER_CELLS;
const NATS_CALLS = WORKER;
const NATS_FAILURES = WORKER + 1;
const OUTBOX_BYTES = NATS_FAILURES + CAUSES;
const CELLS = OUTBOX_BYTES + 1;

// Per cell: what was counted (u64), what Envoy has of it (u64), Envoy's metric (u32).
const counted = heap.alloc(<usize>CELLS * 8);
const handedOver = heap.alloc(<usize>CELLS * 8);
const metrics = heap.alloc(<usize>CELLS * 4);
memory.fill(counted, 0, <usize>CELLS * 8);
memory.fill(handedOver, 0, <usize>CELLS * 8);
memory.fill(metrics, 0xff, <usize>CELLS * 4); // METRIC_NONE

/** The first cell of a ledger. */
export function ledgerCell(ledger: i32): i32 {
  return ledger * LEDGER_CELLS;
}

/** The first cell of a ledger's leg. */
export function legCell(ledger: i32, leg: i32): i32 {
  return ledger * LEDGER_CELLS + LEGS + leg * LEG_CELLS;
}

export function count(cell: i32, by: u64): void {
  const at = counted + ((<usize>cell) << 3);
  store<u64>(at, load<u64>(at) + by);
}

export function countOf(cell: i32): u64 {
  return load<u64>(counted + ((<usize>cell) << 3));
}

export function countCall(): void {
  count(NATS_CALLS, 1);
}

export function countFailure(cause: Cause): void {
  count(NATS_FAILURES + cause, 1);
}

export function setOutboxBytes(bytes: u64): void {
  store<u64>(counted + ((<usize>OUTBOX_BYTES) << 3), bytes);
}

/** Hands what has grown to Envoy. `ledgers`: how many slots were ever used. */
export function exportCounters(ledgers: i32): void {
  exportCells(0, ledgers * LEDGER_CELLS);
  exportCells(WORKER, CELLS);
}

function exportCells(from: i32, to: i32): void {
  for (let cell = from; cell < to; cell++) {
    const at = (<usize>cell) << 3;
    const now = load<u64>(counted + at);
    const before = load<u64>(handedOver + at);
    if (now === before) continue;
    incrementMetric(load<u32>(metrics + ((<usize>cell) << 2)), <i64>(now - before));
    store<u64>(handedOver + at, now);
  }
}

/** Before a slot is given to another ledger: nothing that was counted may be lost to Envoy. */
export function clearLedgerCells(ledger: i32): void {
  const from = ledgerCell(ledger);
  exportCells(from, from + LEDGER_CELLS);
  const bytes = (<usize>LEDGER_CELLS) << 3;
  memory.fill(counted + ((<usize>from) << 3), 0, bytes);
  memory.fill(handedOver + ((<usize>from) << 3), 0, bytes);
  memory.fill(metrics + ((<usize>from) << 2), 0xff, (<usize>LEDGER_CELLS) << 2);
}

function define(cell: i32, name: string): void {
  store<u32>(metrics + ((<usize>cell) << 2), defineMetric(MetricType.Counter, name));
}

/** Each definition of a name makes Envoy keep one more entry: ids of the same name are taken over where they are known. */
export function shareMetrics(from: i32, to: i32, cells: i32): void {
  memory.copy(metrics + ((<usize>to) << 2), metrics + ((<usize>from) << 2), (<usize>cells) << 2);
}

export function defineWorkerMetrics(): void {
  if (load<u32>(metrics + ((<usize>NATS_CALLS) << 2)) !== METRIC_NONE) return;
  define(NATS_CALLS, "shadowgraph_nats_calls.role.outbox.total");
  for (let cause = 1; cause < CAUSES; cause++) {
    define(
      NATS_FAILURES + cause,
      `shadowgraph_nats_failures.role.outbox.cause.${causeName(<Cause>cause)}.total`,
    );
  }
  store<u32>(
    metrics + ((<usize>OUTBOX_BYTES) << 2),
    defineMetric(MetricType.Gauge, "shadowgraph_outbox.role.outbox.bytes"),
  );
}

export function defineLedgerMetrics(ledger: i32, experiment: string): void {
  const first = ledgerCell(ledger);
  const tagger = `.role.tagger.experiment.${experiment}`;
  const outbox = `.role.outbox.experiment.${experiment}.total`;
  define(first + SEEN, `shadowgraph_requests_seen${tagger}.total`);
  define(first + SAMPLED, `shadowgraph_requests_sampled${tagger}.total`);
  define(first + UNREACHED, `shadowgraph_requests_unreached${tagger}.total`);
  for (let reason = 0; reason < UNSAMPLED_REASONS; reason++) {
    define(
      first + UNSAMPLED + reason,
      `shadowgraph_requests_unsampled${tagger}.reason.${unsampledName(reason)}.total`,
    );
  }
  define(first + BATCHES_SENT, `shadowgraph_batches_sent${outbox}`);
  define(first + BATCHES_RETRIED, `shadowgraph_batches_retried${outbox}`);
  define(first + BATCHES_FAILED, `shadowgraph_batches_failed${outbox}`);
}

export function defineLegMetrics(ledger: i32, leg: i32, experiment: string, name: string): void {
  const first = legCell(ledger, leg);
  const place = `.experiment.${experiment}.leg.${name}`;
  const observer = `.role.observer${place}`;
  const outbox = `.role.outbox${place}`;
  define(first + LEG_REQUESTS, `shadowgraph_leg_requests${observer}.total`);
  define(first + LEG_ATTEMPTS, `shadowgraph_leg_attempts${observer}.total`);
  for (let ending = 0; ending < ENDINGS; ending++) {
    define(
      first + LEG_ENDINGS + ending,
      `shadowgraph_leg_endings${observer}.ending.${endingName(ending)}.total`,
    );
  }
  define(first + LEG_PUBLISHED, `shadowgraph_records_published${outbox}.total`);
  for (let reason = 0; reason < DROPPED_REASONS; reason++) {
    define(
      first + LEG_DROPPED + reason,
      `shadowgraph_records_dropped${outbox}.reason.${droppedName(reason)}.total`,
    );
  }
}

export function causeName(cause: Cause): string {
  switch (cause) {
    case Cause.Network:
      return "network";
    case Cause.NoAnswer:
      return "no-answer";
    case Cause.Authentication:
      return "authentication";
    case Cause.Permissions:
      return "permissions";
    case Cause.MissingCluster:
      return "missing-cluster";
    case Cause.NoEndpoint:
      return "no-endpoint";
    case Cause.TooLarge:
      return "too-large";
    case Cause.Protocol:
      return "protocol";
    default:
      return "none";
  }
}

export function unsampledName(reason: i32): string {
  switch (reason) {
    case Unsampled.Fraction:
      return UNSAMPLED_FRACTION;
    case Unsampled.RequestSize:
      return UNSAMPLED_REQUEST_SIZE;
    case Unsampled.UnknownLength:
      return UNSAMPLED_UNKNOWN_LENGTH;
    case Unsampled.Upgrade:
      return UNSAMPLED_UPGRADE;
    case Unsampled.Connect:
      return UNSAMPLED_CONNECT;
    case Unsampled.OutboxFull:
      return UNSAMPLED_OUTBOX_FULL;
    default:
      return UNSAMPLED_TABLE_FULL;
  }
}

export function endingName(ending: i32): string {
  switch (ending) {
    case Ending.Complete:
      return ENDING_COMPLETE;
    case Ending.Reset:
      return ENDING_RESET;
    case Ending.ClientLeft:
      return ENDING_CLIENT_LEFT;
    case Ending.NoAnswer:
      return ENDING_NO_ANSWER;
    default:
      return ENDING_STREAMING;
  }
}

export function droppedName(reason: i32): string {
  switch (reason) {
    case Dropped.OutboxFull:
      return DROPPED_OUTBOX_FULL;
    case Dropped.TooLarge:
      return DROPPED_TOO_LARGE;
    default:
      return DROPPED_TABLE_FULL;
  }
}
