import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Every metric of the analyzer, defined here once. The filter's own counters are in Envoy's /stats/prometheus. */
export interface Metrics {
  readonly registry: Registry;
  readonly messages: Counter<"lane" | "kind">;
  readonly messageBytes: Counter<"lane">;
  readonly records: Counter<"experiment">;
  readonly pairs: Counter<"experiment" | "shadow" | "divergent">;
  readonly orphans: Counter<"experiment" | "reason">;
  readonly duplicates: Counter<"experiment" | "leg">;
  readonly deadLetters: Counter<"code">;
  readonly deadLettersOverflow: Counter<never>;
  readonly batchesLost: Counter<"experiment">;
  readonly batchesRepeated: Counter<"experiment">;
  readonly workersForgotten: Counter<never>;
  readonly unknownFields: Counter<never>;
  readonly unknownExperimentMessages: Counter<never>;
  readonly streamMessagesLost: Counter<"lane" | "part">;
  readonly waiting: Gauge<"lane">;
  readonly lagMessages: Gauge<"lane">;
  readonly lagSeconds: Gauge<"lane">;
  readonly laneOwned: Gauge<"lane">;
  readonly laneTakeovers: Counter<"lane">;
  readonly leasesLost: Counter<"lane">;
  readonly replayedMessages: Counter<"lane">;
  readonly consumersCreated: Counter<"lane">;
  readonly flushSeconds: Histogram<never>;
  readonly flushRows: Histogram<never>;
  readonly writeRetries: Counter<never>;
  readonly checkpointRetries: Counter<never>;
  readonly readingPaused: Counter<"lane">;
  readonly serviceUp: Gauge<"service">;
}

/** One registry for each analyzer, so that several can live in one process (tests do that). */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter<L>({ name: `shadowgraph_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge<L>({ name: `shadowgraph_${name}`, help, labelNames, registers });
  return {
    registry,
    messages: counter(
      "messages_total",
      "Messages read from the stream, by kind (batch, ledger, refused).",
      ["lane", "kind"],
    ),
    messageBytes: counter("message_bytes_total", "Payload bytes read from the stream.", ["lane"]),
    records: counter("records_total", "Records decoded from batches.", ["experiment"]),
    pairs: counter(
      "pairs_total",
      "Pairs joined and stored, by whether any rule found a divergence.",
      ["experiment", "shadow", "divergent"],
    ),
    orphans: counter("orphans_total", "Legs without a partner, by reason.", [
      "experiment",
      "reason",
    ]),
    duplicates: counter("duplicates_total", "Records of a leg and attempt that was already seen.", [
      "experiment",
      "leg",
    ]),
    deadLetters: counter(
      "dead_letters_total",
      "Messages and lines that could not be used, by code.",
      ["code"],
    ),
    deadLettersOverflow: counter(
      "dead_letters_overflow_total",
      "Dead letters that were counted but not stored, because one flush already held its bound of them.",
    ),
    batchesLost: counter(
      "batches_lost_total",
      "Batches that never came: gaps in the numbers of a filter worker.",
      ["experiment"],
    ),
    batchesRepeated: counter(
      "batches_repeated_total",
      "Batches with a number that was already seen or already counted as lost.",
      ["experiment"],
    ),
    workersForgotten: counter(
      "workers_forgotten_total",
      "Filter workers whose batch numbers were dropped because the table of workers was full.",
    ),
    unknownFields: counter(
      "unknown_fields_total",
      "Fields and lines of a later minor version of the wire format, skipped.",
    ),
    unknownExperimentMessages: counter(
      "unknown_experiment_messages_total",
      "Messages of experiments that the configuration does not name.",
    ),
    streamMessagesLost: counter(
      "stream_messages_lost_total",
      "Stream messages removed by its limits before they were joined (unread), or before a restart could read them again (history).",
      ["lane", "part"],
    ),
    waiting: gauge("waiting_observations", "Observations that wait for a partner.", ["lane"]),
    lagMessages: gauge("lag_messages", "Messages in the stream that are not joined yet.", ["lane"]),
    lagSeconds: gauge("lag_seconds", "Age of the newest joined message when it was joined.", [
      "lane",
    ]),
    laneOwned: gauge("lane_owned", "1 when this analyzer reads the lane, 0 when it stands by.", [
      "lane",
    ]),
    laneTakeovers: counter("lane_takeovers_total", "Times this analyzer began to own the lane.", [
      "lane",
    ]),
    leasesLost: counter(
      "leases_lost_total",
      "Times another analyzer took the lane over from this one.",
      ["lane"],
    ),
    replayedMessages: counter(
      "replayed_messages_total",
      "Messages read again after a start, to rebuild the open windows.",
      ["lane"],
    ),
    consumersCreated: counter(
      "consumers_created_total",
      "Times a stream consumer was created; more than once a start means interruptions.",
      ["lane"],
    ),
    flushSeconds: new Histogram({
      name: "shadowgraph_flush_seconds",
      help: "Time from the intent to the moved checkpoint of one write, retries included.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    flushRows: new Histogram({
      name: "shadowgraph_flush_rows",
      help: "Rows of one write over all tables.",
      buckets: [1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000],
      registers,
    }),
    writeRetries: counter(
      "write_retries_total",
      "Writes to ClickHouse that failed and were tried again.",
    ),
    checkpointRetries: counter(
      "checkpoint_retries_total",
      "Checkpoint updates whose answer did not come and were tried again.",
    ),
    readingPaused: counter(
      "reading_paused_total",
      "Times reading stopped because a write was in flight and the next one was full.",
      ["lane"],
    ),
    serviceUp: gauge("service_up", "1 when the service can be reached.", ["service"]),
  };
}
