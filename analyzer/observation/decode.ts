import {
  BATCH_BYTES_MAX,
  RECORD_BYTES_MAX,
  SUBJECT_LEDGER,
  SUBJECT_PREFIX,
} from "../../wire/format.ts";
import type { ErrorCode } from "../errors.ts";
import { countUnknown, type Fields, isObject, show, wrong } from "./checks.ts";
import type { DeadLetter } from "./dead-letter.ts";
import { type BatchHeader, HEADER_NAMES, readHeader, refuseVersion } from "./header.ts";
import type { Ledger } from "./ledger.ts";
import type { Observation } from "./observation.ts";
import { readLedger } from "./read-ledger.ts";
import { RECORD_NAMES, readRecord } from "./record.ts";

/** A message as it came from the stream. Nothing in it is trusted. */
export interface IncomingMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Place in the stream. */
  readonly sequence: number;
  readonly receivedAtUs: number;
  /** Partitions of an experiment, as configured: a batch on a later one is refused. */
  readonly partitions: number;
}

export type Decoded =
  | {
      readonly kind: "batch";
      readonly header: BatchHeader;
      readonly observations: readonly Observation[];
      /** Lines that could not be read, the others were. */
      readonly deadLetters: readonly DeadLetter[];
      /** Fields and lines of a later minor, skipped. */
      readonly unknown: number;
    }
  | { readonly kind: "ledger"; readonly ledger: Ledger; readonly unknown: number }
  | { readonly kind: "refused"; readonly deadLetter: DeadLetter };

const EXCERPT_CHARS_MAX = 256;
const SUBJECT_CHARS_MAX = 256;
/** Dead letters that one message may make before the rest of it is given up: 0.5 MB can hold 500,000 wrong lines. */
const DEAD_LETTERS_MAX = 100;

// Strict: other bytes are refused, never replaced. A byte order mark is a character like others, and so not JSON.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads one message of the stream (wire/README.md). Whatever comes, it answers and never throws.
 *
 * Refused as a whole: a later major, a header that cannot be read, a subject that does not fit. A malformed line is a dead
 * letter with its place, and the other lines are read.
 */
export function decodeMessage(message: IncomingMessage): Decoded {
  const { subject, data, partitions } = message;
  if (data.byteLength > BATCH_BYTES_MAX) {
    return refuse(
      message,
      "WIRE_MALFORMED",
      `message is ${data.byteLength} bytes, expected at most ${BATCH_BYTES_MAX}`,
    );
  }
  const place = parseSubject(subject);
  if (place === null) {
    return refuse(
      message,
      "WIRE_SUBJECT",
      `subject is ${show(subject)}, expected ${SUBJECT_PREFIX}.<experiment>.<partition or ${SUBJECT_LEDGER}>`,
    );
  }
  const { text, repaired } = textOf(data);
  const end = lineEnd(text, 0);
  const first = parseLine(text.slice(0, end), repaired);
  if (typeof first === "string") return refuse(message, "WIRE_MALFORMED", first);

  const expected = place.partition === null ? "ledger" : "batch";
  const type = first["type"];
  if (type !== "batch" && type !== "ledger") {
    // A later major may well have other types: its version says more than its type.
    const refusal = type === undefined ? null : refuseVersion(first["version"]);
    return refusal?.code === "WIRE_VERSION"
      ? refuse(message, refusal.code, refusal.message)
      : refuse(message, "WIRE_MALFORMED", wrong("type", type, `"${expected}"`));
  }
  const refusal = refuseVersion(first["version"]);
  if (refusal !== null) return refuse(message, refusal.code, refusal.message);
  if (type !== expected) {
    return refuse(message, "WIRE_SUBJECT", `a ${type} came on ${subject}, expected a ${expected}`);
  }
  if (first["experiment"] !== place.experiment) {
    const is = `experiment is ${show(first["experiment"])}`;
    return refuse(message, "WIRE_SUBJECT", `${is}, the subject says "${place.experiment}"`);
  }

  if (type === "ledger") {
    const rest = text.length - (end + 1);
    if (rest > 0) {
      return refuse(message, "WIRE_MALFORMED", `${rest} characters follow the ledger's line`);
    }
    const read = readLedger(first);
    return typeof read === "string"
      ? refuse(message, "WIRE_MALFORMED", `ledger: ${read}`)
      : { kind: "ledger", ...read };
  }

  const header = readHeader(first);
  if ("message" in header) return refuse(message, header.code, header.message);
  if (header.partition !== place.partition) {
    return refuse(
      message,
      "WIRE_SUBJECT",
      `partition is ${header.partition}, the subject says ${place.partition}`,
    );
  }
  if (header.partition >= partitions) {
    return refuse(
      message,
      "WIRE_SUBJECT",
      `partition is ${header.partition}, expected 0 to ${partitions - 1}: filter and analyzer differ in the number of partitions`,
    );
  }
  return readLines(message, { text, repaired }, end + 1, header, countUnknown(first, HEADER_NAMES));
}

/** The lines behind the header. */
function readLines(
  message: IncomingMessage,
  { text, repaired }: MessageText,
  from: number,
  header: BatchHeader,
  unknownInHeader: number,
): Decoded {
  const observations: Observation[] = [];
  const deadLetters: DeadLetter[] = [];
  let unknown = unknownInHeader;
  let recordLines = 0;
  let unreadable = 0;
  let line = 1;

  let start = from;
  while (start < text.length && deadLetters.length < DEAD_LETTERS_MAX) {
    const end = lineEnd(text, start);
    const lineText = text.slice(start, end);
    line += 1;
    const fields = parseLine(lineText, repaired);
    let problem: string | null = null;
    if (typeof fields === "string") {
      unreadable += 1;
      problem = fields;
    } else if (fields["type"] === "record") {
      recordLines += 1;
      const read = isTooLong(lineText)
        ? `line is ${byteLength(lineText) + 1} bytes, expected at most ${RECORD_BYTES_MAX}`
        : readRecord(fields, header);
      if (typeof read === "string") {
        problem = `record: ${read}`;
      } else {
        observations.push(read);
        unknown += countUnknown(fields, RECORD_NAMES);
      }
    } else if (typeof fields["type"] === "string") {
      unknown += 1;
    } else {
      unreadable += 1;
      problem = wrong("type", fields["type"], "the name of a line type");
    }
    if (problem !== null) {
      deadLetters.push(deadLetter(message, "WIRE_MALFORMED", problem, line, lineText));
    }
    start = end + 1;
  }

  if (start < text.length) {
    const rest = text.length - start;
    const why = `${DEAD_LETTERS_MAX} lines cannot be read, the message's last ${rest} characters are left unread`;
    deadLetters.push(deadLetter(message, "WIRE_MALFORMED", why, 0, text.slice(start)));
  } else if (header.records < recordLines || header.records > recordLines + unreadable) {
    // A line that cannot be read may have been a record: then the count can still be right.
    const why = `header announces ${header.records} records, ${recordLines + unreadable} came`;
    deadLetters.push(deadLetter(message, "WIRE_MALFORMED", why, 1, text.slice(0, from - 1)));
  }
  return { kind: "batch", header, observations, deadLetters, unknown };
}

const SUBJECT = /^([a-z0-9][a-z0-9-]{0,62})\.(?:(0|[1-9]\d{0,4})|ledger)$/;

/** `partition` is null on the ledger's subject. */
function parseSubject(subject: string): { experiment: string; partition: number | null } | null {
  if (!subject.startsWith(`${SUBJECT_PREFIX}.`)) return null;
  const parts = SUBJECT.exec(subject.slice(SUBJECT_PREFIX.length + 1));
  if (parts === null) return null;
  const partition = parts[2];
  return {
    experiment: parts[1] as string,
    partition: partition === undefined ? null : Number(partition),
  };
}

interface MessageText {
  readonly text: string;
  /** Somewhere in it bytes are no UTF-8, and U+FFFD stands for them. */
  readonly repaired: boolean;
}

function textOf(data: Uint8Array): MessageText {
  try {
    return { text: utf8.decode(data), repaired: false };
  } catch {
    return { text: lenientUtf8.decode(data), repaired: true };
  }
}

/** Where the line that begins at `start` ends; the last one needs no newline. */
function lineEnd(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end < 0 ? text.length : end;
}

/** The JSON object of a line, or why it is none. */
function parseLine(line: string, repaired: boolean): Fields | string {
  // Before JSON.parse, because its exception costs more than a whole good line.
  if (!line.startsWith("{") || !line.endsWith("}")) {
    return `line of ${line.length} characters is not a JSON object`;
  }
  if (repaired && line.includes("\uFFFD")) return "line is not UTF-8";
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Its message repeats the text, at unknown length: the excerpt shows it, bounded.
    return `line of ${line.length} characters is not JSON`;
  }
  return isObject(value) ? value : "line is not a JSON object";
}

/** Longer than a record may be. At most three bytes a character, so most need no counting. */
function isTooLong(line: string): boolean {
  return line.length * 3 >= RECORD_BYTES_MAX && byteLength(line) >= RECORD_BYTES_MAX;
}

const byteLength = (text: string): number => Buffer.byteLength(text, "utf8");

function refuse(message: IncomingMessage, code: ErrorCode, text: string): Decoded {
  return { kind: "refused", deadLetter: deadLetter(message, code, text, 0, headOf(message.data)) };
}

function deadLetter(
  { sequence, subject, receivedAtUs }: IncomingMessage,
  code: ErrorCode,
  message: string,
  line: number,
  about: string,
): DeadLetter {
  return {
    sequence,
    subject: clean(subject, SUBJECT_CHARS_MAX),
    receivedAtUs,
    code,
    message,
    line,
    excerpt: clean(about, EXCERPT_CHARS_MAX),
  };
}

/** Enough of the message for an excerpt: UTF-8 has at most four bytes a character. */
const headOf = (data: Uint8Array): string =>
  lenientUtf8.decode(data.subarray(0, EXCERPT_CHARS_MAX * 4));

/** Control characters, and half of a character at the cut, become U+FFFD. */
function clean(text: string, charsMax: number): string {
  return text.slice(0, charsMax).replace(/[\p{Cc}\p{Cs}]/gu, "\uFFFD");
}
