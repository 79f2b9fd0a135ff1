import type { Observation } from "../observation/observation.ts";
import { Legs, type MirroredLegs, PRIMARY, SHADOW_FIRST } from "./legs.ts";
import { BatchNumbers, type NumberedBatch, type NumberGap } from "./numbers.ts";
import type { OrphanReason } from "./pair.ts";
import type { StreamPosition } from "./position.ts";
import { Remembered } from "./remembered.ts";
import type { JoinSink } from "./sink.ts";
import { betterAttempt, NEVER_US, noteSeen, Waiting, WaitingLine } from "./waiting.ts";

export interface JoinerOptions {
  /** How long a request waits for its legs, in stream time from its first one. */
  readonly windowUs: number;
  /**
   * Requests that may wait at once; one more closes the oldest as evicted. With one leg in they
   * take 0.8 KB each, so the default of 100,000 holds 80 MB, and the requests remembered beside
   * them up to 210 MB.
   */
  readonly pendingCountMax: number;
  /**
   * Requests with an outcome kept, by experiment, to know repeats and late ones; default 10 ×
   * pendingCountMax.
   */
  readonly rememberedCountMax?: number;
  /** Null for an experiment that is not configured. Asked once for each. */
  readonly legsOf: (experiment: string) => MirroredLegs | null;
}

/** Since the start of this process, so not the same after a replay: for metrics, not for rows. */
export interface JoinCounts {
  offered: number;
  pairs: number;
  orphans: Record<OrphanReason, number>;
  duplicates: number;
  unexpected: number;
  /**
   * Ended without a row of their own: attempts that a better one replaced, controls whose shadow
   * never came.
   */
  absorbed: number;
}

interface ExperimentState {
  readonly legs: Legs;
  readonly waiting: Map<string, Waiting>;
  readonly remembered: Remembered;
}

/** Attempts are below it (observation/record.ts), so leg and attempt fit one exact number. */
const ATTEMPT_RANGE = 2 ** 32;
/** Workers whose last lost batch is remembered. */
const LOSSES_MAX = 16_384;

/**
 * Brings the legs of a request together, by correlation id, in stream time.
 *
 * - A request waits for `windowUs` from the first of its legs to come, in any order. The pair with
 *   a shadow is given out as soon as the primary's final attempt, that shadow and, where one is
 *   configured, the control are in; at the end of the window without the control, and with the best
 *   attempt that came (`betterAttempt`).
 * - What is missing at the end of the window makes orphans: one for each shadow that the primary
 *   lacks; where the primary lacks, one for each mirrored leg that came.
 * - The same leg and attempt within two windows is a duplicate. Another attempt of a leg that has
 *   had its outcome is absorbed. Another leg is late: an orphan of its own, whose `missingLeg` is
 *   the late leg itself.
 * - Where the halves name different runs (the configuration changed in flight), the primary's run
 *   counts.
 *
 * **State at a position depends on the messages of the last three windows alone**, so a replay that
 * starts there goes on with identical outcomes. It rests on three rules, each of which looks back a
 * fixed time and never further by way of what it found there: (1) a leg opens a window when nothing
 * of its request came within two windows before it (whether that was first, repeated or late); (2)
 * a leg is a repeat when the same leg and attempt came within two windows; (3) a full table closes
 * the oldest request, whose fate so hangs on later ones only. A window lasts one, hence three. Not
 * covered: a table of remembered requests that is full (`forgottenCount`).
 *
 * Measured (Node 20, one busy core of two, half a million halves at 10,000 requests a second): 0.6
 * to 0.7 million offers/s. A waiting request takes 270 bytes beside its observation's 510, a
 * remembered one 210.
 */
export class Joiner {
  readonly counts: JoinCounts = {
    offered: 0,
    pairs: 0,
    orphans: { "shadow-missing": 0, "primary-missing": 0, late: 0, evicted: 0 },
    duplicates: 0,
    unexpected: 0,
    absorbed: 0,
  };
  readonly #windowUs: number;
  readonly #pendingCountMax: number;
  readonly #rememberedCountMax: number;
  readonly #legsOf: (experiment: string) => MirroredLegs | null;
  readonly #sink: JoinSink;
  readonly #experiments = new Map<string, ExperimentState>();
  readonly #line = new WaitingLine();
  readonly #numbers: BatchNumbers;
  /** Stream time of the last lost batch by experiment and worker, in order of time. */
  readonly #losses = new Map<string, number>();
  #messageUs = 0;
  #watermarkUs = 0;

  constructor(options: JoinerOptions, sink: JoinSink) {
    this.#windowUs = options.windowUs;
    this.#pendingCountMax = options.pendingCountMax;
    this.#rememberedCountMax = options.rememberedCountMax ?? 10 * options.pendingCountMax;
    this.#legsOf = options.legsOf;
    this.#sink = sink;
    // With the half window of #lostBatch and the window that an orphan waited this makes three.
    this.#numbers = new BatchNumbers({ horizonUs: 1.5 * options.windowUs });
  }

  /** Requests whose window is open. */
  get waitingCount(): number {
    return this.#line.count;
  }

  /** Stream time at which the oldest open window began; null when none is open. */
  get oldestUs(): number | null {
    return this.#line.oldest?.openedUs ?? null;
  }

  /** Requests remembered after their outcome. */
  get rememberedCount(): number {
    let count = 0;
    for (const { remembered } of this.#experiments.values()) count += remembered.count;
    return count;
  }

  /**
   * Requests forgotten before their time because a table was full: their repeats count as new
   * requests.
   */
  get forgottenCount(): number {
    let count = 0;
    for (const { remembered } of this.#experiments.values()) count += remembered.forgottenCount;
    return count;
  }

  /**
   * Once for each batch, before its observations. Answers the batches that were lost in front of
   * it.
   */
  noteBatch(batch: NumberedBatch, position: StreamPosition): NumberGap | null {
    const atUs = this.#enter(position);
    const gap = this.#numbers.note(batch, atUs);
    if (gap !== null) {
      const key = `${gap.worker}:${gap.experiment}`;
      this.#losses.delete(key);
      this.#losses.set(key, atUs);
      if (this.#losses.size > LOSSES_MAX) {
        for (const oldest of this.#losses.keys()) {
          this.#losses.delete(oldest);
          break;
        }
      }
    }
    return gap;
  }

  /** In stream order. Windows that ended before this position are closed first. */
  offer(observation: Observation, position: StreamPosition): void {
    const atUs = this.#enter(position);
    this.counts.offered += 1;

    const state = this.#experiments.get(observation.experiment) ?? this.#open(observation);
    const leg = state === null ? -1 : state.legs.numberOf(observation.leg);
    if (state === null || leg < 0) {
      this.counts.unexpected += 1;
      this.#sink.unexpected(observation, state === null ? "experiment" : "leg", atUs);
      return;
    }
    const legAttempt = leg * ATTEMPT_RANGE + observation.attempt;

    const waiting = state.waiting.get(observation.correlationId);
    if (waiting !== undefined) {
      if (noteSeen(waiting.seen, legAttempt, atUs) > NEVER_US) this.#duplicate(observation, atUs);
      else this.#add(state, waiting, leg, observation, atUs);
      return;
    }

    const seen = state.remembered.take(observation.correlationId, atUs);
    if (seen === undefined) {
      this.#begin(state, leg, legAttempt, observation, atUs);
      return;
    }
    const horizonUs = atUs - 2 * this.#windowUs;
    const legSeen = legSeenSince(seen, leg, horizonUs);
    const before = noteSeen(seen, legAttempt, atUs);
    state.remembered.put(observation.correlationId, seen, atUs);
    if (before > horizonUs) {
      this.#duplicate(observation, atUs);
    } else if (legSeen) {
      this.counts.absorbed += 1;
    } else {
      this.#orphan(observation, observation.leg, "late", false, atUs);
    }
  }

  /**
   * Closes the windows that ended at or before this stream time. A time that lies back changes
   * nothing.
   */
  advance(watermarkUs: number): void {
    if (watermarkUs <= this.#watermarkUs) return;
    this.#watermarkUs = watermarkUs;
    for (
      let waiting = this.#line.oldest;
      waiting !== null && waiting.openedUs + this.#windowUs <= watermarkUs;
      waiting = this.#line.oldest
    ) {
      // The time at which the window ended, not the one at which we noticed: the same after a
      // replay.
      this.#close(waiting, waiting.openedUs + this.#windowUs, null);
    }
  }

  /**
   * Stream time for what comes at this position: never falling, and never ahead of the messages.
   */
  #enter({ watermarkUs }: StreamPosition): number {
    if (watermarkUs > this.#messageUs) this.#messageUs = watermarkUs;
    this.advance(watermarkUs);
    return this.#messageUs;
  }

  #open({ experiment }: Observation): ExperimentState | null {
    const mirrored = this.#legsOf(experiment);
    if (mirrored === null) return null;
    const state = {
      legs: new Legs(mirrored),
      waiting: new Map<string, Waiting>(),
      remembered: new Remembered({
        keepUs: 2 * this.#windowUs,
        countMax: this.#rememberedCountMax,
      }),
    };
    this.#experiments.set(experiment, state);
    return state;
  }

  #begin(
    state: ExperimentState,
    leg: number,
    legAttempt: number,
    observation: Observation,
    atUs: number,
  ): void {
    const waiting = new Waiting(state.legs, observation.correlationId, legAttempt, atUs);
    state.waiting.set(observation.correlationId, waiting);
    this.#line.append(waiting);
    this.#add(state, waiting, leg, observation, atUs);
    const oldest = this.#line.oldest;
    if (this.#line.count > this.#pendingCountMax && oldest !== null) {
      this.#close(oldest, atUs, "evicted");
    }
  }

  #add(
    state: ExperimentState,
    waiting: Waiting,
    leg: number,
    observation: Observation,
    atUs: number,
  ): void {
    const held = waiting.best[leg] as Observation | null;
    waiting.best[leg] = held === null ? observation : betterAttempt(held, observation);
    if (held !== null) this.counts.absorbed += 1;
    if (leg === PRIMARY && observation.attempt > waiting.primaryAttempts) {
      waiting.primaryAttempts = observation.attempt;
    }

    const primary = waiting.best[PRIMARY] as Observation | null;
    if (primary === null || !primary.final) return;
    const { legs } = state;
    if (legs.control >= 0 && waiting.best[legs.control] === null) return;
    this.#givePairs(waiting, primary, atUs);
    if (waiting.pairedShadows === (1 << legs.shadowCount) - 1) this.#end(state, waiting, atUs);
  }

  /** One pair for each shadow that came and was not given out yet. */
  #givePairs(waiting: Waiting, primary: Observation, joinedAtUs: number): void {
    const { legs } = waiting;
    const control = legs.control < 0 ? null : (waiting.best[legs.control] as Observation | null);
    for (let k = 0; k < legs.shadowCount; k += 1) {
      const shadow = waiting.best[SHADOW_FIRST + k] as Observation | null;
      if (shadow === null || (waiting.pairedShadows & (1 << k)) !== 0) continue;
      waiting.pairedShadows |= 1 << k;
      this.counts.pairs += 1;
      this.#sink.pair({
        experiment: primary.experiment,
        run: primary.run,
        correlationId: waiting.correlationId,
        primary,
        shadow,
        control,
        primaryAttempts: waiting.primaryAttempts,
        joinedAtUs,
      });
    }
  }

  /**
   * Ends a window: pairs from what is there, orphans for what is not. `reason` replaces the one
   * that says what is missing.
   */
  #close(waiting: Waiting, closedAtUs: number, reason: "evicted" | null): void {
    const { legs } = waiting;
    const primary = waiting.best[PRIMARY] as Observation | null;
    if (primary !== null) {
      this.#givePairs(waiting, primary, closedAtUs);
      const batchLost = this.#lostBatch(primary, waiting.openedUs);
      for (let k = 0; k < legs.shadowCount; k += 1) {
        if (waiting.best[SHADOW_FIRST + k] !== null) continue;
        const name = legs.names[SHADOW_FIRST + k] as string;
        this.#orphan(primary, name, reason ?? "shadow-missing", batchLost, closedAtUs);
      }
      // A control beside a primary without any shadow: a measurement of noise that nothing is held
      // against.
      if (waiting.pairedShadows === 0 && legs.control >= 0 && waiting.best[legs.control] !== null) {
        this.counts.absorbed += 1;
      }
    } else {
      for (let leg = SHADOW_FIRST; leg < legs.names.length; leg += 1) {
        const alone = waiting.best[leg] as Observation | null;
        if (alone === null) continue;
        const batchLost = this.#lostBatch(alone, waiting.openedUs);
        const missing = legs.names[PRIMARY] as string;
        this.#orphan(alone, missing, reason ?? "primary-missing", batchLost, closedAtUs);
      }
    }
    const first = (primary ?? waiting.best.find((leg) => leg !== null)) as Observation;
    this.#end(this.#experiments.get(first.experiment) as ExperimentState, waiting, closedAtUs);
  }

  #end(state: ExperimentState, waiting: Waiting, atUs: number): void {
    this.#line.remove(waiting);
    state.waiting.delete(waiting.correlationId);
    // A copy without the room that lists grow ahead: 150 bytes less for each.
    state.remembered.put(waiting.correlationId, waiting.seen.slice(), atUs);
  }

  /**
   * Was a batch of the same worker lost while this one waited, or in the half window before it
   * came?
   */
  #lostBatch({ worker, experiment }: Observation, openedUs: number): boolean {
    const lostUs = this.#losses.get(`${worker}:${experiment}`);
    return lostUs !== undefined && lostUs > openedUs - this.#windowUs / 2;
  }

  #duplicate(observation: Observation, atUs: number): void {
    this.counts.duplicates += 1;
    this.#sink.duplicate(observation, atUs);
  }

  #orphan(
    observation: Observation,
    missingLeg: string,
    reason: OrphanReason,
    batchLost: boolean,
    closedAtUs: number,
  ): void {
    this.counts.orphans[reason] += 1;
    const { experiment, run, correlationId } = observation;
    this.#sink.orphan({
      experiment,
      run,
      correlationId,
      observation,
      missingLeg,
      reason,
      batchLost,
      closedAtUs,
    });
  }
}

/** Did any attempt of this leg come since then? */
function legSeenSince(seen: readonly number[], leg: number, sinceUs: number): boolean {
  for (let i = 0; i < seen.length; i += 2) {
    const seenLeg = Math.floor((seen[i] as number) / ATTEMPT_RANGE);
    if (seenLeg === leg && (seen[i + 1] as number) > sinceUs) return true;
  }
  return false;
}
