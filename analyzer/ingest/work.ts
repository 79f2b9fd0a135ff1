import type { ExperimentConfig } from "../config.ts";
import type { JudgedPair, Outcomes } from "../divergence/outcomes.ts";
import type { ErrorCode } from "../errors.ts";
import { Joiner } from "../join/joiner.ts";
import type { MirroredLegs } from "../join/legs.ts";
import type { Pair } from "../join/pair.ts";
import type { UnexpectedReason } from "../join/sink.ts";
import type { Metrics } from "../metrics.ts";
import { type Decoded, decodeMessage } from "../observation/decode.ts";
import type { Ledger } from "../observation/ledger.ts";
import type { Observation } from "../observation/observation.ts";
import type { Position } from "./checkpoint.ts";
import { Collector } from "./collector.ts";
import { Floor } from "./floor.ts";
import { BatchNumbers, type LaneMemory, MinuteReports } from "./memory.ts";
import type { StreamMessage } from "./reader.ts";

export interface WorkOptions {
  readonly lane: number;
  readonly joinWindowMs: number;
  readonly pendingCountMax: number;
  readonly partitions: number;
  readonly experiments: readonly ExperimentConfig[];
  readonly judge: (pair: Pair) => JudgedPair;
  readonly metrics: Metrics;
}

/**
 * A lane's work without its input and output: messages in, outcomes out, the same ones for the same messages.
 *
 * It begins silent: messages only rebuild the join, what comes out was written in an earlier life. From enter() on it is live.
 */
export class LaneWork {
  readonly #lane: number;
  readonly #partitions: number;
  readonly #experiments: ReadonlySet<string>;
  readonly #metrics: Metrics;
  readonly #collector: Collector;
  readonly #joiner: Joiner;
  readonly #floor: Floor;
  #numbers: BatchNumbers | null = null;
  #reports: MinuteReports | null = null;
  #messagesMissing = false;
  #sequence: number;
  /** Largest time of a message: the join's clock, which a replay sees again. */
  #messageUs = 0;
  /** Up to where windows are closed; ahead of #messageUs while the stream is idle. */
  #watermarkUs = 0;

  constructor(options: WorkOptions, fromSequence: number) {
    const windowUs = options.joinWindowMs * 1_000;
    this.#lane = options.lane;
    this.#partitions = options.partitions;
    this.#metrics = options.metrics;
    this.#experiments = new Set(options.experiments.map(({ name }) => name));
    this.#collector = new Collector(options.judge);
    this.#sequence = fromSequence - 1;
    this.#floor = new Floor(windowUs, fromSequence);
    this.#joiner = new Joiner(
      {
        windowUs,
        pendingCountMax: options.pendingCountMax,
        legsOf: (name) => legsOf(options.experiments.find((one) => one.name === name)),
      },
      {
        pair: (pair) => {
          if (this.isLive) this.#collector.pair(pair);
        },
        orphan: (orphan) => {
          if (this.isLive) this.#collector.orphan(orphan);
        },
        duplicate: (observation, atUs) => {
          if (this.isLive) this.#collector.duplicate(observation, atUs);
        },
        unexpected: (observation, reason, atUs) => this.#unexpected(observation, reason, atUs),
      },
    );
  }

  get isLive(): boolean {
    return this.#numbers !== null;
  }

  get position(): Position {
    return { sequence: this.#sequence, watermarkUs: this.#watermarkUs };
  }

  /** First sequence that a restart from here must read. */
  get floorSequence(): number {
    return this.#floor.sequence;
  }

  get waitingCount(): number {
    return this.#joiner.waitingCount;
  }

  get rowCount(): number {
    return this.#collector.rowCount;
  }

  /** `done` is reached: what comes from here on is new. */
  enter(done: Position, memory: LaneMemory): void {
    this.advance(done.watermarkUs);
    this.#sequence = Math.max(this.#sequence, done.sequence);
    this.#numbers = new BatchNumbers(memory);
    this.#reports = new MinuteReports(memory);
    if (this.#messagesMissing) this.#numbers.markIncomplete();
  }

  /** Messages were removed before this lane could read them. */
  noteMissing(): void {
    this.#messagesMissing = true;
    this.#numbers?.markIncomplete();
  }

  /** In stream order. */
  read(message: StreamMessage): void {
    const { sequence, storedAtUs } = message;
    this.#sequence = sequence;
    if (storedAtUs > this.#messageUs) this.#messageUs = storedAtUs;
    this.#floor.note(sequence, this.#messageUs);
    this.advance(this.#messageUs);
    if (!this.isLive) this.#metrics.replayedMessages.inc({ lane: this.#lane });

    const decoded = decodeMessage({
      subject: message.subject,
      data: message.data,
      sequence,
      receivedAtUs: storedAtUs,
      partitions: this.#partitions,
    });
    if (this.isLive) this.#count(message, decoded);
    if (decoded.kind === "refused") {
      if (this.isLive) this.#collector.deadLetter(decoded.deadLetter);
      return;
    }
    const { experiment } = decoded.kind === "batch" ? decoded.header : decoded.ledger;
    if (!this.#experiments.has(experiment)) {
      this.#unknownExperiment(experiment, message);
    } else if (decoded.kind === "ledger") {
      this.#ledger(decoded.ledger);
    } else {
      this.#batch(decoded);
    }
  }

  /** Closes windows up to this stream time, when the server says that nothing older can come. */
  advance(watermarkUs: number): void {
    if (watermarkUs <= this.#watermarkUs) return;
    this.#watermarkUs = watermarkUs;
    this.#joiner.advance(watermarkUs);
  }

  /** What to remember at the present position. */
  memory(): LaneMemory {
    if (this.#numbers === null || this.#reports === null) {
      throw new Error("a lane that is not live has no memory of its own");
    }
    return { ...this.#numbers.snapshot(), ...this.#reports.snapshot() };
  }

  /** What was found since the last take. */
  take(token: string): Outcomes {
    this.#metrics.deadLettersOverflow.inc(this.#collector.deadLettersOverflow);
    this.#collector.deadLettersOverflow = 0;
    if (this.#numbers !== null) {
      this.#metrics.workersForgotten.inc(this.#numbers.forgotten);
      this.#numbers.forgotten = 0;
    }
    return this.#collector.take(token);
  }

  #batch({ header, observations, deadLetters }: Decoded & { kind: "batch" }): void {
    const position = { sequence: this.#sequence, watermarkUs: this.#messageUs };
    const { experiment, worker, partition, number } = header;
    this.#joiner.noteBatch(header, position);
    const gap = this.#numbers?.note(worker, experiment, partition, number) ?? null;
    if (gap === "repeat") {
      this.#metrics.batchesRepeated.inc({ experiment });
    } else if (gap !== null) {
      this.#collector.gap({ experiment, worker, partition, ...gap, seenAtUs: this.#messageUs });
    }
    for (const observation of observations) this.#joiner.offer(observation, position);
    if (this.isLive) for (const one of deadLetters) this.#collector.deadLetter(one);
  }

  #ledger(ledger: Ledger): void {
    if (this.isLive) this.#collector.ledger(ledger);
  }

  #unknownExperiment(experiment: string, { subject }: StreamMessage): void {
    if (this.isLive) this.#metrics.unknownExperimentMessages.inc();
    this.#report(
      "EXPERIMENT_UNKNOWN",
      experiment,
      `experiment "${experiment}" is not in the configuration`,
      subject,
    );
  }

  #unexpected({ experiment, leg }: Observation, reason: UnexpectedReason, _atUs: number): void {
    // Unknown experiments do not come so far (read).
    if (reason !== "leg") return;
    this.#report(
      "LEG_UNKNOWN",
      `${experiment}/${leg}`,
      `leg "${leg}" is none of experiment "${experiment}"`,
      "",
    );
  }

  /** At most once a minute, with how many there were: it is one mistake in a configuration, not many letters. */
  #report(code: ErrorCode, about: string, sentence: string, subject: string): void {
    const held = this.#reports?.note(`${code} ${about}`, this.#messageUs) ?? null;
    if (held === null) return;
    const more = held === 0 ? "" : `; ${held} more since the last such entry`;
    this.#collector.deadLetter({
      sequence: this.#sequence,
      subject: subject.slice(0, 256),
      receivedAtUs: this.#messageUs,
      code,
      message: `${sentence} (said at most once a minute${more})`,
      line: 0,
      excerpt: "",
    });
  }

  #count({ data }: StreamMessage, decoded: Decoded): void {
    const lane = this.#lane;
    this.#metrics.messages.inc({ lane, kind: decoded.kind });
    this.#metrics.messageBytes.inc({ lane }, data.byteLength);
    if (decoded.kind === "refused") return;
    if (decoded.unknown > 0) this.#metrics.unknownFields.inc(decoded.unknown);
    if (decoded.kind !== "batch") return;
    const { experiment } = decoded.header;
    // Only names of the configuration become labels: others could be without number.
    if (!this.#experiments.has(experiment)) return;
    this.#metrics.records.inc({ experiment }, decoded.observations.length);
  }
}

function legsOf(experiment: ExperimentConfig | undefined): MirroredLegs | null {
  if (experiment === undefined) return null;
  return {
    shadows: experiment.shadows.map(({ name }) => name),
    control: experiment.control === undefined ? null : "control",
  };
}
