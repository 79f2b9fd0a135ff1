import type { Divergence, JudgedPair, Outcomes } from "../divergence/outcomes.ts";
import type { Orphan } from "../join/pair.ts";
import type { DeadLetter } from "../observation/dead-letter.ts";
import type { Ledger } from "../observation/ledger.ts";
import type { Observation } from "../observation/observation.ts";

/** A table's columns, each with how its value is read from one item; the order is that of the insert. */
type Columns<Item> = Readonly<Record<string, (item: Item) => unknown>>;

export interface TableRows {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

/** 2100-01-01: what ClickHouse's dates can hold with room to spare. A filter's clock beyond it is shown as this. */
const INSTANT_US_MAX = 4_102_444_800_000_000;
const UINT16_MAX = 65_535;
const UINT32_MAX = 4_294_967_295;

/** Microseconds since 1970 as an integer: exactly what a DateTime64(6) column reads from JSON. */
const instant = (us: number): number => clamp(us, INSTANT_US_MAX);
const uint16 = (value: number): number => clamp(value, UINT16_MAX);
const uint32 = (value: number): number => clamp(value, UINT32_MAX);
const uint64 = (value: number): number => clamp(value, Number.MAX_SAFE_INTEGER);
const nullable = <T>(value: T | null | undefined, to: (value: T) => unknown): unknown =>
  value === null || value === undefined ? null : to(value);
const grpc = (value: number | null): number | null =>
  value === null ? null : Math.trunc(Math.max(-2_147_483_648, Math.min(value, 2_147_483_647)));

/** One number out of range must not hold up a whole batch for ever: decoding has checked, this makes sure. */
function clamp(value: number, max: number): number {
  return value > 0 ? Math.min(Math.trunc(value), max) : 0;
}

function bodiesEqual(a: Observation, b: Observation): number {
  const whole = (leg: Observation): boolean =>
    leg.ending === "complete" &&
    !leg.cut.includes("responseDigest") &&
    !leg.cut.includes("responseBody");
  return whole(a) &&
    whole(b) &&
    a.responseBytes === b.responseBytes &&
    a.responseDigest === b.responseDigest
    ? 1
    : 0;
}

function requestsEqual(a: Observation, b: Observation): number {
  return a.requestBytes === b.requestBytes && a.requestDigest === b.requestDigest ? 1 : 0;
}

/** Null unless both legs were answered completely: a refused connection is quick and says nothing about speed. */
function latencyLogRatio(leg: Observation, primary: Observation): number | null {
  if (leg.ending !== "complete" || primary.ending !== "complete") return null;
  if (leg.totalUs < 1 || primary.totalUs < 1) return null;
  return Math.log(leg.totalUs / primary.totalUs);
}

const distinctRules = (divergences: readonly Divergence[]): string[] => [
  ...new Set(divergences.map(({ rule }) => rule)),
];

const legColumns = (
  side: "primary" | "shadow",
  of: (item: JudgedPair) => Observation,
  attempts: (item: JudgedPair) => number,
): Columns<JudgedPair> => ({
  [`${side}_status`]: (item) => uint16(of(item).status),
  [`${side}_grpc_status`]: (item) => grpc(of(item).grpcStatus),
  [`${side}_bytes`]: (item) => uint64(of(item).responseBytes),
  [`${side}_content_type`]: (item) => of(item).responseContentType ?? "",
  [`${side}_content_encoding`]: (item) => of(item).responseContentEncoding ?? "",
  [`${side}_first_byte_us`]: (item) => nullable(of(item).firstByteUs, uint64),
  [`${side}_request_end_us`]: (item) => nullable(of(item).requestEndUs, uint64),
  [`${side}_total_us`]: (item) => uint64(of(item).totalUs),
  [`${side}_ending`]: (item) => of(item).ending,
  [`${side}_failure`]: (item) => of(item).failure,
  [`${side}_attempts`]: (item) => Math.max(1, uint16(attempts(item))),
  [`${side}_chunks`]: (item) => uint32(of(item).chunkCount),
  [`${side}_chunk_gap_max_us`]: (item) => uint64(of(item).chunkGapMaxUs),
});

const control = ({ pair }: JudgedPair): Observation | null => pair.control;

const CONTROL_COLUMNS: Columns<JudgedPair> = {
  control_status: (item) => nullable(control(item)?.status, uint16),
  control_grpc_status: (item) => nullable(control(item)?.grpcStatus, grpc),
  control_bytes: (item) => nullable(control(item)?.responseBytes, uint64),
  control_content_type: (item) => control(item)?.responseContentType ?? "",
  control_content_encoding: (item) => control(item)?.responseContentEncoding ?? "",
  control_first_byte_us: (item) => nullable(control(item)?.firstByteUs, uint64),
  control_request_end_us: (item) => nullable(control(item)?.requestEndUs, uint64),
  control_total_us: (item) => nullable(control(item)?.totalUs, uint64),
  control_ending: (item) => control(item)?.ending ?? "",
  control_failure: (item) => control(item)?.failure ?? "",
  control_attempts: (item) => nullable(control(item), () => 1),
  control_chunks: (item) => nullable(control(item)?.chunkCount, uint32),
  control_chunk_gap_max_us: (item) => nullable(control(item)?.chunkGapMaxUs, uint64),
  control_bytes_equal: ({ pair }) =>
    pair.control === null ? null : bodiesEqual(pair.control, pair.primary),
  control_latency_log_ratio: ({ pair }) =>
    pair.control === null ? null : latencyLogRatio(pair.control, pair.primary),
  control_started_at: (item) => nullable(control(item)?.startedAtUs, instant),
  control_worker: (item) => control(item)?.worker ?? "",
  has_control: (item) => (control(item) === null ? 0 : 1),
};

const PAIRS: Columns<JudgedPair> = {
  experiment: ({ pair }) => pair.experiment,
  run: ({ pair }) => pair.run,
  shadow: ({ pair }) => pair.shadow.leg,
  joined_at: ({ pair }) => instant(pair.joinedAtUs),
  correlation_id: ({ pair }) => pair.correlationId,
  started_at: ({ pair }) => instant(pair.primary.startedAtUs),
  shadow_started_at: ({ pair }) => instant(pair.shadow.startedAtUs),
  method: ({ pair }) => pair.primary.method,
  route: ({ pair }) => pair.primary.route,
  params: ({ pair }) => pair.primary.params,
  segments: ({ pair }) => pair.primary.segments,
  worker: ({ pair }) => pair.primary.worker,
  shadow_worker: ({ pair }) => pair.shadow.worker,
  request_bytes: ({ pair }) => uint64(pair.primary.requestBytes),
  request_content_type: ({ pair }) => pair.primary.requestContentType ?? "",
  request_content_encoding: ({ pair }) => pair.primary.requestContentEncoding ?? "",
  request_bytes_equal: ({ pair }) => requestsEqual(pair.primary, pair.shadow),
  ...legColumns(
    "primary",
    ({ pair }) => pair.primary,
    ({ pair }) => pair.primaryAttempts,
  ),
  ...legColumns(
    "shadow",
    ({ pair }) => pair.shadow,
    // A mirrored leg is sent once: whatever number its attempt has, it made one record.
    () => 1,
  ),
  ...CONTROL_COLUMNS,
  cut: ({ pair }) => [
    ...pair.primary.cut.map((field) => `primary.${field}`),
    ...pair.shadow.cut.map((field) => `${pair.shadow.leg}.${field}`),
    ...(pair.control?.cut ?? []).map((field) => `control.${field}`),
  ],
  bytes_equal: ({ pair }) => bodiesEqual(pair.shadow, pair.primary),
  latency_log_ratio: ({ pair }) => latencyLogRatio(pair.shadow, pair.primary),
  divergent: ({ divergences }) => (divergences.length > 0 ? 1 : 0),
  rules: ({ divergences }) => distinctRules(divergences),
  noise_rules: ({ noise }) => distinctRules(noise ?? []),
};

interface FoundDivergence {
  readonly judged: JudgedPair;
  readonly side: "shadow" | "control";
  readonly found: Divergence;
}

const DIVERGENCES: Columns<FoundDivergence> = {
  experiment: ({ judged }) => judged.pair.experiment,
  run: ({ judged }) => judged.pair.run,
  shadow: ({ judged }) => judged.pair.shadow.leg,
  joined_at: ({ judged }) => instant(judged.pair.joinedAtUs),
  correlation_id: ({ judged }) => judged.pair.correlationId,
  method: ({ judged }) => judged.pair.primary.method,
  route: ({ judged }) => judged.pair.primary.route,
  side: ({ side }) => side,
  rule: ({ found }) => found.rule,
  grade: ({ found }) => found.grade,
  primary_value: ({ found }) => found.primary,
  other_value: ({ found }) => found.shadow,
  sentence: ({ found }) => found.sentence,
};

const ORPHANS: Columns<Orphan> = {
  experiment: ({ experiment }) => experiment,
  run: ({ run }) => run,
  closed_at: ({ closedAtUs }) => instant(closedAtUs),
  correlation_id: ({ correlationId }) => correlationId,
  leg: ({ observation }) => observation.leg,
  missing_leg: ({ missingLeg }) => missingLeg,
  reason: ({ reason }) => reason,
  batch_lost: ({ batchLost }) => (batchLost ? 1 : 0),
  attempt: ({ observation }) => Math.max(1, uint16(observation.attempt)),
  worker: ({ observation }) => observation.worker,
  started_at: ({ observation }) => instant(observation.startedAtUs),
  method: ({ observation }) => observation.method,
  route: ({ observation }) => observation.route,
  params: ({ observation }) => observation.params,
  segments: ({ observation }) => observation.segments,
  status: ({ observation }) => uint16(observation.status),
  grpc_status: ({ observation }) => grpc(observation.grpcStatus),
  request_bytes: ({ observation }) => uint64(observation.requestBytes),
  response_bytes: ({ observation }) => uint64(observation.responseBytes),
  content_type: ({ observation }) => observation.responseContentType ?? "",
  content_encoding: ({ observation }) => observation.responseContentEncoding ?? "",
  first_byte_us: ({ observation }) => nullable(observation.firstByteUs, uint64),
  total_us: ({ observation }) => uint64(observation.totalUs),
  ending: ({ observation }) => observation.ending,
  failure: ({ observation }) => observation.failure,
  cut: ({ observation }) => observation.cut,
};

const LEDGER: Columns<Ledger> = {
  experiment: ({ experiment }) => experiment,
  run: ({ run }) => run,
  worker: ({ worker }) => worker,
  number: ({ number }) => uint64(number),
  clock_at: ({ clockUs }) => instant(clockUs),
  final: ({ final }) => (final ? 1 : 0),
  seen: ({ requests }) => uint64(requests.seen),
  sampled: ({ requests }) => uint64(requests.sampled),
  unreached: ({ requests }) => uint64(requests.unreached),
  unsampled: ({ requests }) => requests.unsampled,
  batches_sent: ({ batches }) => uint64(batches.sent),
  batches_retried: ({ batches }) => uint64(batches.retried),
  batches_failed: ({ batches }) => uint64(batches.failed),
  "`legs.leg`": ({ legs }) => legs.map(({ leg }) => leg),
  "`legs.requests`": ({ legs }) => legs.map(({ requests }) => uint64(requests)),
  "`legs.attempts`": ({ legs }) => legs.map(({ attempts }) => uint64(attempts)),
  "`legs.endings`": ({ legs }) => legs.map(({ endings }) => endings),
  "`legs.published`": ({ legs }) => legs.map(({ published }) => uint64(published)),
  "`legs.dropped`": ({ legs }) => legs.map(({ dropped }) => dropped),
};

const BATCH_GAPS: Columns<Outcomes["gaps"][number]> = {
  experiment: ({ experiment }) => experiment,
  worker: ({ worker }) => worker,
  partition: ({ partition }) => uint16(partition),
  first_missing: ({ firstMissing }) => uint64(firstMissing),
  last_missing: ({ lastMissing }) => uint64(lastMissing),
  seen_at: ({ seenAtUs }) => instant(seenAtUs),
};

const DEAD_LETTERS: Columns<DeadLetter> = {
  received_at: ({ receivedAtUs }) => instant(receivedAtUs),
  sequence: ({ sequence }) => uint64(sequence),
  line: ({ line }) => uint32(line),
  experiment: ({ subject }) => /^shadow\.v\d+\.([a-z0-9-]{1,63})\./.exec(subject)?.[1] ?? "",
  subject: ({ subject }) => subject,
  code: ({ code }) => code,
  message: ({ message }) => message,
  excerpt: ({ excerpt }) => excerpt,
};

const DUPLICATES: Columns<Outcomes["duplicates"][number]> = {
  experiment: ({ experiment }) => experiment,
  run: ({ run }) => run,
  leg: ({ leg }) => leg,
  at: ({ atUs }) => instant(atUs),
  records: ({ count }) => uint64(count),
};

/** The same outcomes give the same tables, rows and order, always: the insert tokens rely on it. */
export function toRows(outcomes: Outcomes): TableRows[] {
  const found = outcomes.pairs.flatMap((judged): FoundDivergence[] => [
    ...judged.divergences.map((one) => ({ judged, side: "shadow" as const, found: one })),
    ...(judged.noise ?? []).map((one) => ({ judged, side: "control" as const, found: one })),
  ]);
  return [
    tableRows("pairs", PAIRS, outcomes.pairs),
    tableRows("divergences", DIVERGENCES, found),
    tableRows("orphans", ORPHANS, outcomes.orphans),
    tableRows("ledger", LEDGER, outcomes.ledgers),
    tableRows("batch_gaps", BATCH_GAPS, outcomes.gaps),
    tableRows("dead_letters", DEAD_LETTERS, outcomes.deadLetters),
    tableRows("duplicates", DUPLICATES, outcomes.duplicates),
  ].filter(({ rows }) => rows.length > 0);
}

function tableRows<Item>(table: string, columns: Columns<Item>, items: readonly Item[]): TableRows {
  const readers = Object.values(columns);
  return {
    table,
    columns: Object.keys(columns),
    rows: items.map((item) => readers.map((read) => read(item))),
  };
}
