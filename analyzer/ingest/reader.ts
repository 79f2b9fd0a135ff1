import {
  AckPolicy,
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from "@nats-io/jetstream";
import { AnalyzerError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { Backoff, messageOf, pause } from "./wait.ts";

/** Asked for at once; the client buffers at most two such portions. The server sends at most 100 messages of it. */
const FETCH_BYTES = 8_388_608;
/** One request stays open so long when nothing comes. Range of NATS: from 1 s. */
const FETCH_EXPIRES_MS = 5_000;
/** Buffered messages at which the next portion is asked for. */
const LOW_WATER = 25;
/** NATS removes the consumer of an analyzer that is gone. It keeps no position for us. */
const INACTIVE_MS = 60_000;

export interface StreamMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly data: Uint8Array;
  /** The server's clock when it stored the message, µs since 1970. */
  readonly storedAtUs: number;
}

export interface ReaderPlace {
  readonly stream: string;
  readonly subjects: readonly string[];
  readonly lane: number;
}

/**
 * Reads a lane of the stream in order, each message once, from a sequence on, for as long as it takes.
 *
 * Nothing is acknowledged (the checkpoint is ours, see checkpoint.ts), so a message that was lost between NATS and us is
 * not sent again: the consumer numbers its deliveries, and at a hole, a lost connection or a restarted server the reader
 * makes a new consumer just behind the last message it handed out.
 */
export class LaneReader {
  readonly #jetstream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #place: ReaderPlace;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #buffer: StreamMessage[] = [];
  #bufferStart = 0;
  #consumer: Consumer | null = null;
  #messages: ConsumerMessages | null = null;
  /** Of the last message put into the buffer. */
  #sequence: number;
  #delivery = 0;
  /** First sequence that the present consumer may deliver. */
  #openedAt = 0;
  /** Behind the last buffered message, as the server said with it. */
  #pendingBehind = 0;
  #wake: (() => void) | null = null;
  #wakePump: (() => void) | null = null;
  #failure: unknown = null;
  readonly #pump: Promise<void>;

  constructor(
    clients: { jetstream: JetStreamClient; manager: JetStreamManager },
    place: ReaderPlace,
    fromSequence: number,
    { metrics, log }: { metrics: Metrics; log: Log },
    /** Called before each new consumer. An AnalyzerError ends the reader; any other error is tried again. */
    private readonly beforeOpen: (nextSequence: number) => Promise<void>,
  ) {
    this.#jetstream = clients.jetstream;
    this.#manager = clients.manager;
    this.#place = place;
    this.#metrics = metrics;
    this.#log = log;
    this.#sequence = fromSequence - 1;
    this.#pump = this.#run();
  }

  /** Messages that the server holds for this lane and that next() has not handed out. */
  get lagMessages(): number {
    return this.#pendingBehind + this.#buffered();
  }

  /**
   * The next message, or null after `waitMs` without one, or when interrupt() ends the wait.
   * @throws AnalyzerError the one that beforeOpen threw
   */
  async next(waitMs: number): Promise<StreamMessage | null> {
    const ready = this.#shift();
    if (ready !== null) return ready;
    if (this.#failure !== null) throw this.#failure;
    if (waitMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
    const late = this.#shift();
    if (late === null && this.#failure !== null) throw this.#failure;
    return late;
  }

  /** Ends a waiting next() early. */
  interrupt(): void {
    this.#wake?.();
  }

  /**
   * Has everything been handed out that the stream held for this lane when NATS answered? Asks NATS; false when in doubt.
   * `lastSequence`: of the last message that the caller has taken.
   */
  async isCaughtUp(lastSequence: number): Promise<boolean> {
    const consumer = this.#consumer;
    if (consumer === null || this.#buffered() > 0) return false;
    try {
      const info = await consumer.info();
      return (
        this.#consumer === consumer &&
        this.#buffered() === 0 &&
        info.num_pending === 0 &&
        info.delivered.stream_seq <= Math.max(lastSequence, this.#openedAt - 1)
      );
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wakePump?.();
    this.#messages?.stop();
    const consumer = this.#consumer;
    this.#consumer = null;
    await this.#pump;
    // Only tidiness: an unused consumer goes away by itself.
    if (consumer !== null) await consumer.delete().catch(() => false);
  }

  #buffered(): number {
    return this.#buffer.length - this.#bufferStart;
  }

  #shift(): StreamMessage | null {
    const message = this.#buffer[this.#bufferStart];
    if (message === undefined) return null;
    this.#bufferStart++;
    if (this.#bufferStart === this.#buffer.length) {
      this.#buffer.length = 0;
      this.#bufferStart = 0;
    }
    if (this.#buffered() <= LOW_WATER) this.#wakePump?.();
    return message;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const backoff = new Backoff();
    while (!signal.aborted) {
      try {
        await this.#open();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof AnalyzerError) {
          this.#failure = error;
          this.#wake?.();
          return;
        }
        this.#log.debug({ error: messageOf(error) }, "stream consumer could not be created");
        await pause(backoff.next(), signal);
        continue;
      }
      backoff.reset();
      try {
        await this.#fetchUntilTrouble();
      } catch (error) {
        this.#log.debug({ error: messageOf(error) }, "stream consumer has to be made anew");
        await pause(backoff.next(), signal);
      }
      this.#consumer = null;
    }
  }

  async #open(): Promise<void> {
    const from = this.#sequence + 1;
    await this.beforeOpen(from);
    const info = await this.#manager.consumers.add(this.#place.stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(1, from),
      filter_subjects: [...this.#place.subjects],
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: INACTIVE_MS * 1_000_000,
    });
    this.#metrics.consumersCreated.inc({ lane: this.#place.lane });
    this.#delivery = 0;
    // The limits may have removed what was asked for: then deliveries begin behind it.
    this.#openedAt = Math.max(from, info.delivered.stream_seq + 1);
    this.#pendingBehind = info.num_pending;
    this.#consumer = await this.#jetstream.consumers.get(this.#place.stream, info.name);
  }

  /** Returns at a hole in the deliveries; throws when the consumer or the connection is gone. */
  async #fetchUntilTrouble(): Promise<void> {
    const { signal } = this.#stop;
    let single = false;
    while (!signal.aborted && this.#consumer !== null) {
      if (this.#buffered() > LOW_WATER) {
        await new Promise<void>((resolve) => {
          this.#wakePump = resolve;
        });
        this.#wakePump = null;
        continue;
      }
      const messages = await this.#consumer.fetch(
        single
          ? { max_messages: 1, expires: FETCH_EXPIRES_MS }
          : { max_bytes: FETCH_BYTES, expires: FETCH_EXPIRES_MS },
      );
      if (signal.aborted) {
        messages.stop();
        return;
      }
      this.#messages = messages;
      let count = 0;
      try {
        for await (const message of messages) {
          count++;
          if (!this.#accept(message)) {
            messages.stop();
            return;
          }
        }
        single = false;
      } catch (error) {
        if (!isPortionFull(error)) throw error;
        // A message that is larger than a whole portion comes alone.
        single = count === 0;
      } finally {
        this.#messages = null;
      }
    }
  }

  /** False at a hole. */
  #accept(message: JsMsg): boolean {
    const { info } = message;
    if (info.deliverySequence !== this.#delivery + 1 || info.streamSequence <= this.#sequence) {
      return false;
    }
    this.#delivery = info.deliverySequence;
    this.#sequence = info.streamSequence;
    this.#pendingBehind = info.pending;
    this.#buffer.push({
      sequence: info.streamSequence,
      subject: message.subject,
      data: message.data,
      storedAtUs: Math.floor(info.timestampNanos / 1_000),
    });
    this.#wake?.();
    return true;
  }
}

/**
 * The portion's bytes are used up and the next message does not fit, or its 100 messages have come before its bytes were
 * used up: good ends of a fetch, told as errors.
 */
function isPortionFull(error: unknown): boolean {
  return (
    error instanceof Error && /message size exceeds maxbytes|batch completed/i.test(error.message)
  );
}
