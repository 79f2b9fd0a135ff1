import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "@nats-io/jetstream";
import { SUBJECT_LEDGER, SUBJECT_PREFIX } from "../../wire/format.ts";
import type { Config } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import type { Log } from "../log.ts";

/** A retry of the filter within this time is stored once (wire/README.md). */
const DUPLICATE_WINDOW_MS = 120_000;
const NANOS_PER_MS = 1_000_000;

export interface StreamState {
  /** When the stream was made: a stream that was deleted and made again is another journal with the same numbers. */
  readonly identity: string;
  /** Of the oldest message that the limits left; 1 + last when there is none. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** When the oldest message was stored, µs since 1970; 0 when there is none. */
  readonly firstTimeUs: number;
  /** The server's clock when it answered, µs since 1970. The same clock stamps the messages. */
  readonly serverTimeUs: number;
}

/**
 * Creates the stream when it is missing; an existing one stays as it is, because its limits may have been chosen by
 * people who know their disks. Other subjects are refused: then it is not our journal.
 * @throws AnalyzerError STREAM_MISMATCH
 */
export async function ensureStream(
  manager: JetStreamManager,
  config: Config["nats"]["stream"],
  log: Log,
): Promise<StreamState> {
  const subject = `${SUBJECT_PREFIX}.>`;
  let info = await find(manager, config.name);
  if (info === null) {
    info = await manager.streams.add({
      name: config.name,
      description: "Shadowgraph: what the filter saw, read by the analyzer",
      subjects: [subject],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: config.storage === "file" ? StorageType.File : StorageType.Memory,
      num_replicas: config.replicas,
      max_age: config.maxAgeMs * NANOS_PER_MS,
      max_bytes: config.maxBytes,
      duplicate_window: Math.min(DUPLICATE_WINDOW_MS, config.maxAgeMs) * NANOS_PER_MS,
    });
    log.info({ stream: config.name, subject }, "stream created");
  }
  check(info, subject, config);
  return stateOf(info);
}

/** Says where the limits of the stream, which may not be ours, differ from what was configured or are too small. */
export async function reviewLimits(
  manager: JetStreamManager,
  config: Config["nats"]["stream"],
  joinWindowMs: number,
  log: Log,
): Promise<void> {
  const { config: found } = await manager.streams.info(config.name);
  const foundAgeMs = found.max_age / NANOS_PER_MS;
  // A restart reads three windows again (checkpoint.ts): the stream must remember that long, and then some.
  if (foundAgeMs > 0 && foundAgeMs < 4 * joinWindowMs) {
    log.warn(
      { stream: config.name, maxAgeMs: foundAgeMs, joinWindowMs },
      "stream keeps messages for less than four join windows: a restart may find its history gone",
    );
  }
  if (foundAgeMs !== config.maxAgeMs || found.max_bytes !== config.maxBytes) {
    log.warn(
      {
        stream: config.name,
        found: { maxAgeMs: foundAgeMs, maxBytes: found.max_bytes },
        configured: { maxAgeMs: config.maxAgeMs, maxBytes: config.maxBytes },
      },
      "stream has other limits than the configuration; it is left as it is",
    );
  }
}

export async function streamState(manager: JetStreamManager, name: string): Promise<StreamState> {
  return stateOf(await manager.streams.info(name));
}

/** Null when there is no such stream. */
async function find(manager: JetStreamManager, name: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (isStreamMissing(error)) return null;
    throw error;
  }
}

export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
}

function check(info: StreamInfo, subject: string, config: Config["nats"]["stream"]): void {
  const { config: found } = info;
  if (!found.subjects?.includes(subject)) {
    throw new AnalyzerError(
      "STREAM_MISMATCH",
      `stream ${config.name} has the subjects ${found.subjects?.join(", ") || "(none)"}, expected ${subject}`,
    );
  }
  if (found.retention !== RetentionPolicy.Limits) {
    throw new AnalyzerError(
      "STREAM_MISMATCH",
      `stream ${config.name} has the retention ${found.retention}, expected limits: other readers would remove what the analyzer must read again`,
    );
  }
}

function stateOf(info: StreamInfo): StreamState {
  return {
    identity: info.created,
    firstSequence: info.state.first_seq === 0 ? 1 : info.state.first_seq,
    lastSequence: info.state.last_seq,
    firstTimeUs: info.state.messages === 0 ? 0 : Date.parse(info.state.first_ts) * 1_000,
    serverTimeUs: serverTimeUs(info),
  };
}

/** The answer's `ts` is there since 2.10 and missing in the client's types. */
function serverTimeUs(info: StreamInfo): number {
  const { ts } = info as unknown as { ts?: unknown };
  const milliseconds = typeof ts === "string" ? Date.parse(ts) : Number.NaN;
  if (Number.isNaN(milliseconds)) {
    throw new AnalyzerError("NATS_VERSION", `NATS says no time in its stream info, expected "ts"`);
  }
  return milliseconds * 1_000;
}

/**
 * Subjects of one lane: partitions p with p % lanes == lane, ledgers on lane 0. All partitions that there can be are
 * divided, not only the configured number: after that number was lowered, the rest is still read.
 */
export function laneSubjects(lane: number, lanes: number, partitionsMax: number): string[] {
  if (lanes === 1) return [`${SUBJECT_PREFIX}.>`];
  const subjects = lane === 0 ? [`${SUBJECT_PREFIX}.*.${SUBJECT_LEDGER}`] : [];
  for (let partition = lane; partition < partitionsMax; partition += lanes) {
    subjects.push(`${SUBJECT_PREFIX}.*.${partition}`);
  }
  return subjects;
}
