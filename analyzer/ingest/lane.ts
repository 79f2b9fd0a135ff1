import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { PARTITIONS_MAX } from "../../wire/format.ts";
import type { Config } from "../config.ts";
import type { JudgedPair, Outcomes } from "../divergence/outcomes.ts";
import { AnalyzerError, type ErrorCode } from "../errors.ts";
import type { LaneHealth, ServiceMonitor } from "../health.ts";
import type { Pair } from "../join/pair.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import {
  type Checkpoint,
  type CheckpointBucket,
  claimLane,
  type LaneLease,
  type Position,
  tokenOf,
} from "./checkpoint.ts";
import { LaneReader } from "./reader.ts";
import { freshCheckpoint, resume } from "./resume.ts";
import { ensureStream, laneSubjects, type StreamState, streamState } from "./stream.ts";
import { Backoff, messageOf, pause, within } from "./wait.ts";
import { LaneWork } from "./work.ts";

/**
 * Without a message for so long, the lane asks NATS whether it has them all, and what time it is there. A fraction of the
 * join window, so that short windows close in time too.
 */
const IDLE_CHECK_MS = { max: 1_000, min: 100, perWindow: 1 / 4 };
/**
 * Stream time may lag so far behind the server's clock when a lane is idle. It covers the servers' clocks differing in a
 * NATS cluster: a message that a new leader stamps must not be older than a window we closed.
 */
const IDLE_MARGIN_US = 1_000_000;
/** A graceful stop waits so long for a write that is in flight. What it does not finish, the next start does. */
const STOP_GRACE_MS = 10_000;
/** Reading and joining hold the event loop at most about this long. */
const TURN_MS = 20;

/** Where outcomes go. Writing the same token again must be harmless. */
export interface OutcomesStore {
  write(outcomes: Outcomes): Promise<void>;
}

export interface LaneTools {
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly bucket: CheckpointBucket;
  readonly store: OutcomesStore;
  readonly storeMonitor: ServiceMonitor;
  readonly judge: (pair: Pair) => JudgedPair;
  readonly metrics: Metrics;
  readonly log: Log;
  /** How long a free lane is left to others first, so that several analyzers share the lanes. */
  readonly holdBackMs: () => number;
}

/** One lane, from waiting for its lease to the last flush. Position, protocol and replay: checkpoint.ts. */
export class Lane {
  readonly #lane: number;
  readonly #config: Config;
  readonly #owner: string;
  readonly #tools: LaneTools;
  readonly #signal: AbortSignal;
  readonly #log: Log;
  readonly #stopped: Promise<void>;
  readonly #idleCheckMs: number;
  #work: LaneWork | null = null;
  #reader: LaneReader | null = null;
  #lease: LaneLease | null = null;
  #isClaiming = false;
  #lost: Promise<void> = new Promise(() => undefined);
  /** The write in flight; at most one. */
  #flushing: Promise<void> | null = null;
  /** Why a write was given up. No other may follow in this life of the lane: it would leave a hole. */
  #flushError: unknown = null;
  /** End of a write that a former owner began; the first write of this one must end there. */
  #intent: Position | null = null;
  #flushDueMs = 0;
  #stopDeadlineMs = Number.POSITIVE_INFINITY;
  /** Last sequence that the stream's limits took from us and that has been counted. */
  #countedSequence = 0;

  constructor(lane: number, config: Config, owner: string, tools: LaneTools, signal: AbortSignal) {
    this.#lane = lane;
    this.#config = config;
    this.#owner = owner;
    this.#tools = tools;
    this.#signal = signal;
    const { min, max, perWindow } = IDLE_CHECK_MS;
    this.#idleCheckMs = Math.max(min, Math.min(max, config.analyzer.joinWindowMs * perWindow));
    this.#log = tools.log.child({ lane });
    this.#stopped = new Promise((resolve) => {
      const stop = (): void => {
        this.#stopDeadlineMs = performance.now() + STOP_GRACE_MS;
        this.#reader?.interrupt();
        resolve();
      };
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
  }

  health(): LaneHealth {
    const position = this.#work?.position;
    return {
      lane: this.#lane,
      owner: this.#lease !== null,
      sequence: position?.sequence ?? 0,
      lagMessages: this.#reader?.lagMessages ?? null,
      watermarkUs: position?.watermarkUs ?? 0,
      storedUs: this.#storedUs(),
    };
  }

  #storedUs(): number {
    const work = this.#work;
    if (work === null || this.#lease === null) return 0;
    const isAllStored = this.#flushing === null && work.isLive && work.rowCount === 0;
    return isAllStored ? work.position.watermarkUs : this.#lease.checkpoint.done.watermarkUs;
  }

  get waitingCount(): number {
    return this.#work?.waitingCount ?? 0;
  }

  /** Ours, or about to be. */
  get isTaken(): boolean {
    return this.#lease !== null || this.#isClaiming;
  }

  /**
   * Until the signal says stop.
   * @throws AnalyzerError when waiting would not help: STREAM_MISMATCH, LANES_CHANGED, CHECKPOINT_INVALID
   */
  async run(): Promise<void> {
    const { metrics } = this.#tools;
    const lane = this.#lane;
    const backoff = new Backoff();
    metrics.laneOwned.set({ lane }, 0);
    while (!this.#signal.aborted) {
      const lease = await this.#claim();
      if (lease === null) return;
      this.#lease = lease;
      metrics.laneOwned.set({ lane }, 1);
      metrics.laneTakeovers.inc({ lane });
      try {
        await this.#own(lease);
      } catch (error) {
        if (!isTransient(error)) throw error;
        const code = error instanceof AnalyzerError ? error.code : undefined;
        if (code !== "LEASE_LOST" && code !== "STREAM_REPLACED") {
          this.#log.warn({ code, error: messageOf(error) }, "lane begins anew from its checkpoint");
        }
        await pause(backoff.next(), this.#signal);
      } finally {
        await this.#let(lease);
        metrics.laneOwned.set({ lane }, 0);
        metrics.waiting.set({ lane }, 0);
      }
    }
  }

  #claim(): Promise<LaneLease | null> {
    const { bucket, metrics, holdBackMs } = this.#tools;
    const { lanes, leaseMs } = this.#config.analyzer;
    const noteAttempt = (isClaiming: boolean): void => {
      this.#isClaiming = isClaiming;
    };
    return claimLane(
      { lane: this.#lane, lanes, owner: this.#owner, leaseMs, holdBackMs, noteAttempt },
      { bucket, metrics, log: this.#log, signal: this.#signal },
      async () => freshCheckpoint(await this.#ensureStream(), { lanes, generation: 0 }),
    );
  }

  #ensureStream(): Promise<StreamState> {
    return ensureStream(this.#tools.manager, this.#config.nats.stream, this.#log);
  }

  async #let(lease: LaneLease): Promise<void> {
    const reader = this.#reader;
    this.#work = null;
    this.#reader = null;
    this.#lease = null;
    // A write that outlived the grace goes on by itself and ends with the process; its token makes it harmless.
    this.#flushing = null;
    this.#flushError = null;
    this.#intent = null;
    const closed = Promise.all([reader?.close(), lease.release()]).catch(() => undefined);
    const rest = Math.min(STOP_GRACE_MS, Math.max(500, this.#stopDeadlineMs - performance.now()));
    await within(rest, closed);
  }

  async #own(lease: LaneLease): Promise<void> {
    const { analyzer, nats, experiments } = this.#config;
    const checkpoint = await this.#resume(lease);
    const work = new LaneWork(
      {
        lane: this.#lane,
        joinWindowMs: analyzer.joinWindowMs,
        pendingCountMax: analyzer.pendingCountMax,
        partitions: nats.partitions,
        experiments,
        judge: this.#tools.judge,
        metrics: this.#tools.metrics,
      },
      checkpoint.floor,
    );
    this.#work = work;
    this.#intent = checkpoint.end;
    this.#flushDueMs = performance.now() + analyzer.flushIntervalMs;
    const reader = new LaneReader(
      this.#tools,
      {
        lane: this.#lane,
        stream: nats.stream.name,
        subjects: laneSubjects(this.#lane, analyzer.lanes, PARTITIONS_MAX),
      },
      checkpoint.floor,
      this.#tools,
      (nextSequence) => this.#beforeOpen(checkpoint, nextSequence),
    );
    this.#reader = reader;
    this.#lost = new Promise((resolve) => {
      lease.lost.signal.addEventListener("abort", () => {
        reader.interrupt();
        resolve();
      });
    });
    this.#log.info(
      { floor: checkpoint.floor, done: checkpoint.done, end: checkpoint.end },
      checkpoint.end === null
        ? "lane is read"
        : "lane is read, a write was interrupted and is repeated",
    );
    try {
      await this.#read(lease, work, reader);
    } catch (error) {
      // Rows of a journal that is gone cannot be made again: write what there is.
      if (error instanceof AnalyzerError && error.code === "STREAM_REPLACED" && work.isLive) {
        await this.#flushRest(lease, work);
      }
      throw error;
    }
    await this.#flushRest(lease, work);
  }

  async #resume(lease: LaneLease): Promise<Checkpoint> {
    const state = await this.#ensureStream();
    const { checkpoint, unread, history, trouble } = resume(lease.checkpoint, state);
    if (trouble !== "") {
      const code: ErrorCode = unread + history > 0 ? "STREAM_TRIMMED" : "STREAM_REPLACED";
      this.#log.error({ code, unread, history }, trouble);
      this.#countLost(unread, history);
      await lease.save(
        unread > 0
          ? { ...checkpoint, memory: { ...checkpoint.memory, complete: false } }
          : checkpoint,
      );
    }
    this.#countedSequence = Math.max(checkpoint.done.sequence, state.firstSequence - 1);
    return lease.checkpoint;
  }

  /** Before each consumer: is it the same stream still, and does it still hold what comes next? */
  async #beforeOpen(checkpoint: Checkpoint, nextSequence: number): Promise<void> {
    const state = await this.#ensureStream();
    if (state.identity !== checkpoint.stream || state.lastSequence < nextSequence - 1) {
      const message = `stream made at ${state.identity} ends at ${state.lastSequence}, expected the one made at ${checkpoint.stream} with ${nextSequence - 1} or more`;
      this.#log.error({ code: "STREAM_REPLACED" }, message);
      throw new AnalyzerError("STREAM_REPLACED", message);
    }
    this.#noteFirst(state.firstSequence, nextSequence - 1);
  }

  /** Counts what the limits removed up to this sequence before we read it. */
  #noteFirst(firstSequence: number, read: number): void {
    const unread = firstSequence - 1 - Math.max(read, this.#countedSequence);
    this.#countedSequence = Math.max(this.#countedSequence, firstSequence - 1);
    if (unread <= 0) return;
    this.#log.error(
      { code: "STREAM_TRIMMED", unread },
      `stream removed ${unread} messages before they were read: its limits are too small for the analyzer's lag`,
    );
    this.#countLost(unread, 0);
    this.#work?.noteMissing();
  }

  #countLost(unread: number, history: number): void {
    const { streamMessagesLost } = this.#tools.metrics;
    streamMessagesLost.inc({ lane: this.#lane, part: "unread" }, unread);
    streamMessagesLost.inc({ lane: this.#lane, part: "history" }, history);
  }

  /** Returns when the signal says stop. */
  async #read(lease: LaneLease, work: LaneWork, reader: LaneReader): Promise<void> {
    const isWhole = this.#config.analyzer.lanes === 1;
    let turnMs = performance.now();
    let quietMs = turnMs;
    while (!this.#signal.aborted) {
      if (lease.lost.signal.aborted) throw new AnalyzerError("LEASE_LOST", "lane was taken over");
      if (this.#flushError !== null) throw this.#flushError;
      const message = await reader.next(this.#waitMs(quietMs));
      const nowMs = performance.now();
      if (message !== null) {
        quietMs = nowMs;
        // The lane is the whole stream: a hole in its sequences is something removed.
        if (isWhole && message.sequence > work.position.sequence + 1) {
          this.#noteFirst(message.sequence, work.position.sequence);
        }
        await this.#reach(lease, work, message.sequence);
        work.read(message);
        this.#noteLag(message.storedAtUs);
      } else if (nowMs - quietMs >= this.#idleCheckMs) {
        quietMs = nowMs;
        await this.#idle(lease, work, reader);
      }
      await this.#flushWhenDue(lease, work);
      if (performance.now() - turnMs > TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        turnMs = performance.now();
      }
    }
  }

  #waitMs(quietMs: number): number {
    const nowMs = performance.now();
    const idleMs = quietMs + this.#idleCheckMs - nowMs;
    const flushMs = this.#flushing === null ? this.#flushDueMs - nowMs : idleMs;
    return Math.max(1, flushMs > 0 ? Math.min(idleMs, flushMs) : idleMs);
  }

  #noteLag(storedAtUs: number): void {
    const { metrics } = this.#tools;
    const lane = this.#lane;
    metrics.lagMessages.set({ lane }, this.#reader?.lagMessages ?? 0);
    metrics.lagSeconds.set({ lane }, Math.max(0, Date.now() / 1_000 - storedAtUs / 1e6));
    metrics.waiting.set({ lane }, this.waitingCount);
  }

  /** Before anything behind `sequence - 1` is joined: does the past end here, does the interrupted write? */
  async #reach(lease: LaneLease, work: LaneWork, sequence: number): Promise<void> {
    if (!work.isLive) {
      const { done, memory } = lease.checkpoint;
      if (sequence <= done.sequence) return;
      work.enter(done, memory);
    }
    const intent = this.#intent;
    if (intent === null || sequence <= intent.sequence) return;
    work.advance(intent.watermarkUs);
    this.#intent = null;
    await this.#flushAndWait(lease, work, intent);
  }

  /**
   * Nothing comes: then windows close by the server's clock. The stream's time is asked first; whatever was stored up to then
   * has been read when the consumer says, afterwards, that nothing is left.
   */
  async #idle(lease: LaneLease, work: LaneWork, reader: LaneReader): Promise<void> {
    let state: StreamState;
    try {
      state = await streamState(this.#tools.manager, this.#config.nats.stream.name);
    } catch {
      // NATS is away, or the stream is: the reader will find out which.
      return;
    }
    if (!(await reader.isCaughtUp(work.position.sequence))) return;
    this.#tools.metrics.lagMessages.set({ lane: this.#lane }, 0);
    await this.#reach(lease, work, Number.POSITIVE_INFINITY);
    if (work.waitingCount === 0) return;
    const rowsBefore = work.rowCount;
    work.advance(state.serverTimeUs - IDLE_MARGIN_US);
    this.#tools.metrics.waiting.set({ lane: this.#lane }, work.waitingCount);
    if (work.rowCount === rowsBefore) return;
    // A replay does not see idle time, only the watermark of a position: so what it brought must end a write.
    await this.#settled();
    await this.#flushAndWait(lease, work, work.position);
  }

  /** Starts a write when there is enough or it is time; waits when a write is in flight and the next is full already. */
  async #flushWhenDue(lease: LaneLease, work: LaneWork): Promise<void> {
    // An interrupted write is repeated first, and cut where it was.
    if (!work.isLive || this.#intent !== null) return;
    const { flushIntervalMs, flushRowsMax } = this.#config.analyzer;
    const isFull = work.rowCount >= flushRowsMax;
    if (this.#flushing !== null) {
      if (!isFull) return;
      this.#tools.metrics.readingPaused.inc({ lane: this.#lane });
      await this.#settled();
      if (this.#flushing !== null || this.#flushError !== null) return;
    }
    const nowMs = performance.now();
    if (work.position.sequence <= lease.checkpoint.done.sequence) {
      this.#flushDueMs = nowMs + flushIntervalMs;
      return;
    }
    if (!isFull && nowMs < this.#flushDueMs) return;
    this.#flushDueMs = nowMs + flushIntervalMs;
    this.#flush(lease, work, work.position);
  }

  /** Waits for the write in flight, whatever becomes of it; after a stop no longer than its grace, and not after a take-over. */
  async #settled(): Promise<void> {
    const flushing = this.#flushing;
    if (flushing === null) return;
    await Promise.race([flushing, this.#stopped, this.#lost]);
    if (!this.#signal.aborted) return;
    const rest = Math.max(0, this.#stopDeadlineMs - performance.now());
    await within(rest, flushing);
  }

  /** @throws why the write was given up */
  async #flushAndWait(lease: LaneLease, work: LaneWork, end: Position): Promise<void> {
    // Still in flight: the grace of a stop is over.
    if (this.#flushing === null && this.#flushError === null) {
      this.#flush(lease, work, end);
      await this.#settled();
    }
    if (this.#flushError !== null) throw this.#flushError;
  }

  /** The last writes of a graceful stop. */
  async #flushRest(lease: LaneLease, work: LaneWork): Promise<void> {
    await this.#settled();
    // Inside an interrupted write there is nothing to do: its end is still to be reached, by the next start.
    if (!work.isLive || this.#intent !== null || lease.lost.signal.aborted) return;
    if (work.position.sequence > lease.checkpoint.done.sequence || work.rowCount > 0) {
      await this.#flushAndWait(lease, work, work.position).catch((error: unknown) => {
        const message = "last write was not finished, the next start repeats it";
        this.#log.warn({ error: messageOf(error) }, message);
      });
    }
  }

  #flush(lease: LaneLease, work: LaneWork, end: Position): void {
    const outcomes = work.take(tokenOf(lease.checkpoint, this.#lane, end));
    const flushing = this.#write(lease, outcomes, end, {
      done: end,
      end: null,
      floor: work.floorSequence,
      memory: work.memory(),
    })
      .catch((error: unknown) => {
        if (this.#flushing === flushing) this.#flushError = error;
      })
      .finally(() => {
        if (this.#flushing === flushing) this.#flushing = null;
        this.#reader?.interrupt();
      });
    this.#flushing = flushing;
  }

  /** Intent, rows, checkpoint, in this order. */
  async #write(
    lease: LaneLease,
    outcomes: Outcomes,
    end: Position,
    next: Partial<Checkpoint>,
  ): Promise<void> {
    const { metrics } = this.#tools;
    const startedMs = performance.now();
    const rows = rowsOf(outcomes);
    if (rows > 0) {
      await lease.save({ end });
      await this.#store(outcomes, lease);
    }
    await lease.save(next);
    if (rows === 0) return;
    count(outcomes, metrics);
    metrics.flushRows.observe(rows);
    metrics.flushSeconds.observe((performance.now() - startedMs) / 1_000);
  }

  /** Until the store has it. The stream keeps what comes meanwhile. */
  async #store(outcomes: Outcomes, lease: LaneLease): Promise<void> {
    const { store, storeMonitor, metrics } = this.#tools;
    const backoff = new Backoff();
    while (true) {
      try {
        await store.write(outcomes);
        storeMonitor.up();
        return;
      } catch (error) {
        const code = error instanceof AnalyzerError ? error.code : "CLICKHOUSE_UNAVAILABLE";
        storeMonitor.down(messageOf(error), code);
        metrics.writeRetries.inc();
        if (lease.lost.signal.aborted || this.#signal.aborted) throw error;
        await pause(backoff.next(), this.#signal);
      }
    }
  }
}

/** Does it help to begin anew from the checkpoint? Other errors of ours say that a person has to look. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof AnalyzerError)) return true;
  return !["STREAM_MISMATCH", "LANES_CHANGED", "CHECKPOINT_INVALID", "NATS_VERSION"].includes(
    error.code,
  );
}

function rowsOf(outcomes: Outcomes): number {
  const { pairs, orphans, ledgers, gaps, deadLetters, duplicates } = outcomes;
  return (
    pairs.length +
    orphans.length +
    ledgers.length +
    gaps.length +
    deadLetters.length +
    duplicates.length
  );
}

/** After the write, so that a repeated start counts nothing twice. */
function count(outcomes: Outcomes, metrics: Metrics): void {
  for (const { pair, divergences } of outcomes.pairs) {
    const divergent = divergences.length > 0 ? "true" : "false";
    metrics.pairs.inc({ experiment: pair.experiment, shadow: pair.shadow.leg, divergent });
  }
  for (const { experiment, reason } of outcomes.orphans) {
    metrics.orphans.inc({ experiment, reason });
  }
  for (const { experiment, leg, count: times } of outcomes.duplicates) {
    metrics.duplicates.inc({ experiment, leg }, times);
  }
  for (const { experiment, firstMissing, lastMissing } of outcomes.gaps) {
    metrics.batchesLost.inc({ experiment }, lastMissing - firstMissing + 1);
  }
  for (const { code } of outcomes.deadLetters) metrics.deadLetters.inc({ code });
}
