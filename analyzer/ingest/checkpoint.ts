import type { JetStreamClient } from "@nats-io/jetstream";
import { JetStreamApiCodes, JetStreamApiError, StorageType } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { Config } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { LaneMemory } from "./memory.ts";
import { Backoff, messageOf, pause } from "./wait.ts";

/**
 * A place in a lane: everything up to and including this stream sequence has been joined, and windows are closed up to
 * this stream time (µs since 1970). Both belong to it: at one sequence the watermark can move on while nothing comes.
 */
export interface Position {
  readonly sequence: number;
  readonly watermarkUs: number;
}

/**
 * What makes a lane's rows exact whatever dies when. One value in a KV bucket; it is lease and checkpoint in one, so whoever
 * has lost the lease cannot move the checkpoint either: each update names the revision it replaces (fencing).
 *
 * A write goes: put `end` (the intent) → store.write with a token made of done and end → put done = end.
 * A start reads again from `floor`, with an empty join, and drops what comes out up to `done`: the join at `done` is then as
 * it was, because it depends on the last three windows only. With an intent open, the first write is cut at exactly `end`: it
 * holds the same rows under the same token, and the store keeps whichever came first.
 *
 * Why `floor` is a sequence and not the time `watermark - 3 windows` given to NATS (opt_start_time): NATS looks that time up in
 * stamps that need not rise (a server's clock that was set back), and knows nothing of the watermark that this lane had.
 * We know the watermark at each sequence we joined, so the floor is exact, and costs a short list in memory (floor.ts).
 */
export interface Checkpoint {
  readonly version: 1;
  /** Of how many lanes this is one: the division must not change under a checkpoint. */
  readonly lanes: number;
  /** Which journal the sequences mean: when the stream was made, and how often its numbers have begun anew since. */
  readonly stream: string;
  readonly generation: number;
  /** Empty: free, anyone may take it at once. */
  readonly owner: string;
  /** Counts the updates, so that an owner whose answer got lost can recognise its own value. */
  readonly write: number;
  readonly floor: number;
  readonly done: Position;
  readonly end: Position | null;
  /** What the lane remembers at `done` beyond the join's windows. */
  readonly memory: LaneMemory;
}

/** The same stretch of the same journal has the same token, in every run and in every analyzer. */
export function tokenOf(checkpoint: Checkpoint, lane: number, end: Position): string {
  const { stream, generation, lanes, done } = checkpoint;
  const place = ({ sequence, watermarkUs }: Position) => `${sequence}@${watermarkUs}`;
  return `${stream}+${generation}:${lane}/${lanes}:${place(done)}-${place(end)}`;
}

export function encodeCheckpoint(checkpoint: Checkpoint): string {
  return JSON.stringify(checkpoint);
}

/** @throws AnalyzerError CHECKPOINT_INVALID when it is not what encodeCheckpoint wrote */
export function decodeCheckpoint(text: string): Checkpoint {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AnalyzerError("CHECKPOINT_INVALID", "checkpoint is not JSON", { cause });
  }
  const found = value as Partial<Checkpoint> | null;
  if (
    found === null ||
    typeof found !== "object" ||
    found.version !== 1 ||
    typeof found.owner !== "string" ||
    typeof found.done?.sequence !== "number" ||
    typeof found.memory !== "object"
  ) {
    throw new AnalyzerError(
      "CHECKPOINT_INVALID",
      `checkpoint has version ${String(found?.version)}, expected 1: it is from another Shadowgraph`,
    );
  }
  return found as Checkpoint;
}

/** A revisioned value. The KV bucket in production; tests put faults around it. */
export interface CheckpointBucket {
  /** Null when there is none. May be behind the newest revision: update() then refuses. */
  get(key: string): Promise<{ value: string; revision: number } | null>;
  /** @throws StaleRevision when the key exists */
  create(key: string, value: string): Promise<number>;
  /** @throws StaleRevision when the newest revision is another */
  update(key: string, value: string, revision: number): Promise<number>;
}

export class StaleRevision extends Error {}

export function bucketName(stream: string): string {
  return `${stream}_checkpoints`;
}

/** Creates the bucket when it is missing. */
export async function openBucket(
  jetstream: JetStreamClient,
  config: Config["nats"]["stream"],
): Promise<CheckpointBucket> {
  const kv = await new Kvm(jetstream).create(bucketName(config.name), {
    description: "Shadowgraph: how far the analyzer has come, one key a lane",
    history: 1,
    replicas: config.replicas,
    // As safe as the stream it speaks of: a checkpoint that outlived its journal would be of no use.
    storage: config.storage === "file" ? StorageType.File : StorageType.Memory,
  });
  return new KvBucket(kv);
}

class KvBucket implements CheckpointBucket {
  readonly #kv: KV;

  constructor(kv: KV) {
    this.#kv = kv;
  }

  async get(key: string): Promise<{ value: string; revision: number } | null> {
    const entry = await this.#kv.get(key);
    if (entry === null || entry.operation !== "PUT") return null;
    return { value: entry.string(), revision: entry.revision };
  }

  async create(key: string, value: string): Promise<number> {
    return await this.#fenced(this.#kv.create(key, value));
  }

  async update(key: string, value: string, revision: number): Promise<number> {
    return await this.#fenced(this.#kv.update(key, value, revision));
  }

  async #fenced(answer: Promise<number>): Promise<number> {
    try {
      return await answer;
    } catch (error) {
      if (
        error instanceof JetStreamApiError &&
        (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
          error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
      ) {
        throw new StaleRevision(error.message, { cause: error });
      }
      throw error;
    }
  }
}

export interface LeaseSettings {
  readonly lane: number;
  readonly lanes: number;
  /** Unique for each analyzer process. */
  readonly owner: string;
  readonly leaseMs: number;
  /** A free lane is left to others for so long. Asked again at each look. */
  readonly holdBackMs: () => number;
  /** Told before and after each attempt to claim the lane, so that this process does not grasp for several at once. */
  readonly noteAttempt: (isClaiming: boolean) => void;
}

interface LeaseTools {
  readonly bucket: CheckpointBucket;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Abort means: give up waiting. */
  readonly signal: AbortSignal;
}

/** Pause between looks at a lane that another analyzer owns. */
const LOOKS_PER_LEASE = 5;
const RENEWALS_PER_LEASE = 3;

/**
 * Waits until this lane is free, then owns it. A lane is free when nobody has it, when its owner has let it go, or when its
 * value has not changed for leaseMs of *this* process' monotonic clock: clocks of two machines are never compared.
 * Null when the signal said stop first.
 * @throws AnalyzerError LANES_CHANGED
 */
export async function claimLane(
  settings: LeaseSettings,
  tools: LeaseTools,
  first: () => Promise<Checkpoint>,
): Promise<LaneLease | null> {
  const { bucket, log, signal } = tools;
  const key = keyOf(settings.lane);
  const backoff = new Backoff();
  // A lane without a checkpoint counts as revision 0, free since the first look.
  let seenRevision = -1;
  let seenSinceMs = 0;
  let said = false;
  while (!signal.aborted) {
    try {
      const entry = await bucket.get(key);
      const nowMs = performance.now();
      const revision = entry?.revision ?? 0;
      if (revision !== seenRevision) {
        seenRevision = revision;
        seenSinceMs = nowMs;
      }
      const found = entry === null ? await first() : decodeCheckpoint(entry.value);
      requireLanes(found, settings);
      const isFree = found.owner === "" || found.owner === settings.owner;
      const claimableMs = seenSinceMs + (isFree ? 0 : settings.leaseMs) + settings.holdBackMs();
      if (nowMs >= claimableMs) {
        settings.noteAttempt(true);
        const value = { ...found, owner: settings.owner, write: found.write + 1 };
        const text = encodeCheckpoint(value);
        const claimed =
          entry === null
            ? await bucket.create(key, text)
            : await bucket.update(key, text, entry.revision);
        if (!isFree) {
          log.warn(
            { formerOwner: found.owner },
            "lane's owner was silent for its lease, taking over",
          );
        }
        return new LaneLease(settings, tools, value, claimed);
      }
      if (!said) {
        said = true;
        log.info(
          { owner: found.owner },
          isFree ? "lane is left to others first" : "lane has an owner, standing by",
        );
      }
      backoff.reset();
      await pause(settings.leaseMs / LOOKS_PER_LEASE, signal);
    } catch (error) {
      if (error instanceof AnalyzerError) throw error;
      if (error instanceof StaleRevision) log.debug("another analyzer was faster");
      else log.debug({ error: messageOf(error) }, "checkpoint cannot be claimed yet");
      await pause(backoff.next(), signal);
    } finally {
      settings.noteAttempt(false);
    }
  }
  return null;
}

function keyOf(lane: number): string {
  return `lane.${lane}`;
}

function requireLanes(found: Checkpoint, settings: LeaseSettings): void {
  if (found.lanes === settings.lanes) return;
  throw new AnalyzerError(
    "LANES_CHANGED",
    `checkpoint of lane ${settings.lane} is one of ${found.lanes} lanes, configured is analyzer.lanes ${settings.lanes}: set it back, ` +
      "or delete the checkpoint bucket to read the stream from its beginning again (rows that are stored then come twice)",
  );
}

/** This process owns the lane, until a put finds that another has taken it. */
export class LaneLease {
  readonly lost = new AbortController();
  readonly #settings: LeaseSettings;
  readonly #tools: LeaseTools;
  #value: Checkpoint;
  #revision: number;
  /** One put at a time: each names the revision of the one before. */
  #queue: Promise<unknown> = Promise.resolve();
  #renewedMs = performance.now();
  readonly #renewal: NodeJS.Timeout;
  #released = false;

  constructor(settings: LeaseSettings, tools: LeaseTools, value: Checkpoint, revision: number) {
    this.#settings = settings;
    this.#tools = tools;
    this.#value = value;
    this.#revision = revision;
    const everyMs = settings.leaseMs / RENEWALS_PER_LEASE;
    this.#renewal = setInterval(() => {
      if (performance.now() - this.#renewedMs < everyMs / 2) return;
      // An error here is told by the next save(), and by `lost`.
      this.save({}).catch(() => undefined);
    }, everyMs);
    this.#renewal.unref();
  }

  get checkpoint(): Checkpoint {
    return this.#value;
  }

  /**
   * Puts the changed checkpoint, however long NATS is away.
   * @throws AnalyzerError LEASE_LOST when another owns the lane, or when the signal said stop before it was put
   */
  save(change: Partial<Checkpoint>): Promise<void> {
    const saved = this.#queue.then(() => this.#put(change));
    this.#queue = saved.catch(() => undefined);
    return saved;
  }

  /** Frees the lane for others, after what is being put. Tries once: a lease also ends by silence. */
  async release(): Promise<void> {
    clearInterval(this.#renewal);
    if (this.#released || this.lost.signal.aborted) return;
    this.#released = true;
    await this.#queue;
    const value = { ...this.#value, owner: "", write: this.#value.write + 1 };
    await this.#tools.bucket
      .update(keyOf(this.#settings.lane), encodeCheckpoint(value), this.#revision)
      .catch(() => 0);
  }

  async #put(change: Partial<Checkpoint>): Promise<void> {
    const { bucket, metrics, log, signal } = this.#tools;
    const { lane } = this.#settings;
    const next = { ...this.#value, ...change, write: this.#value.write + 1 };
    const text = encodeCheckpoint(next);
    const backoff = new Backoff();
    while (!this.lost.signal.aborted) {
      try {
        this.#adopt(next, await bucket.update(keyOf(lane), text, this.#revision));
        return;
      } catch (error) {
        // The answer may have got lost after the value was stored, so look before judging.
        const outcome = await this.#look(next);
        if (outcome === "stored") return;
        if (outcome === "taken") {
          this.#lose();
          break;
        }
        metrics.checkpointRetries.inc();
        log.debug({ error: messageOf(error) }, "checkpoint not put yet");
        if (signal.aborted)
          throw new AnalyzerError("LEASE_LOST", "stopped before the checkpoint was put");
        await pause(backoff.next(), signal);
      }
    }
    throw new AnalyzerError("LEASE_LOST", `lane ${lane} belongs to another analyzer now`);
  }

  async #look(next: Checkpoint): Promise<"stored" | "taken" | "unknown"> {
    try {
      const entry = await this.#tools.bucket.get(keyOf(this.#settings.lane));
      if (entry === null) return "taken";
      if (entry.revision <= this.#revision) return "unknown";
      const found = decodeCheckpoint(entry.value);
      if (found.owner !== next.owner || found.write !== next.write) return "taken";
      this.#adopt(next, entry.revision);
      return "stored";
    } catch (error) {
      if (error instanceof AnalyzerError) return "taken";
      return "unknown";
    }
  }

  #adopt(value: Checkpoint, revision: number): void {
    this.#value = value;
    this.#revision = revision;
    this.#renewedMs = performance.now();
  }

  #lose(): void {
    const { metrics, log } = this.#tools;
    const { lane } = this.#settings;
    clearInterval(this.#renewal);
    metrics.leasesLost.inc({ lane });
    log.warn({ code: "LEASE_LOST" }, "lane belongs to another analyzer now, standing by");
    this.lost.abort();
  }
}
