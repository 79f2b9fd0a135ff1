// NATS' client protocol, as far as publishing needs it: what is written, and what the answer says.
// One call is one connection: CONNECT, messages, PING go out, then the server's INFO, errors and PONG are read until it closes.

import { Cause } from "./counters";
import { mark, release } from "./host/arena";
import { Buffer, bufferAt, readBuffer } from "./host/buffers";
import { put, Text, text } from "./host/text";
import { putBytes, putEscaped, putNumber } from "./put";

/** The CONNECT line; a JWT as token is the longest that comes into it. */
export const CONNECT_BYTES_MAX = 8192;
/** What is kept of a line of the answer: INFO's max_payload stands well before this. */
const LINE_BYTES_MAX = 4096;
/** An answer is INFO, errors and PONG; more is not read, and without its PONG not believed. */
const ANSWER_BYTES_MAX = 1048576;
const PIECE_BYTES = 16384;

const CONNECT = text(
  'CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"assemblyscript","version":"0.1.0",' +
    '"protocol":1,"echo":false,"headers":true,"no_responders":true,"name":"shadowgraph ',
);
const USER = text('","user":"');
const PASSWORD = text('","pass":"');
const TOKEN = text('","auth_token":"');
const CONNECT_END = text('"}\r\n');
const PING = text("PING\r\n");

const HEADER_BEGIN = text("NATS/1.0\r\nNats-Msg-Id: ");
const HEADER_END = text("\r\n\r\n");
const PUBLISH = text("HPUB ");
const LINE_END = text("\r\n");

const connectLine = heap.alloc(CONNECT_BYTES_MAX);
export let connectBytes: i32 = 0;

/** Where the CONNECT line of the newest configuration stands. */
export function connectAt(): usize {
  return connectLine;
}

const escapedRoom = CONNECT_BYTES_MAX - 512;

/** False when the credentials are longer than the CONNECT line may be; the former ones stay. */
export function setCredentials(
  worker: usize,
  workerBytes: i32,
  user: string,
  password: string,
  token: string,
): bool {
  const utf8 = String.UTF8.byteLength(user) + String.UTF8.byteLength(password);
  if ((utf8 + String.UTF8.byteLength(token)) * 6 > escapedRoom) return false;
  let to = putBytes(put(connectLine, CONNECT), worker, workerBytes);
  if (user.length > 0) {
    to = putString(put(to, USER), user);
    to = putString(put(to, PASSWORD), password);
  }
  if (token.length > 0) to = putString(put(to, TOKEN), token);
  to = put(to, CONNECT_END);
  connectBytes = <i32>(to - connectLine);
  return true;
}

function putString(to: usize, value: string): usize {
  const utf8 = String.UTF8.encode(value);
  return putEscaped(to, changetype<usize>(utf8), utf8.byteLength);
}

/** Must be the last thing written: its PONG then means that all before it was taken. */
export function putPing(to: usize): usize {
  return put(to, PING);
}

export const PING_BYTES: i32 = 6;

/**
 * What stands before a message's payload: the HPUB line and the header with the message's id. NATS wants the sizes of the header
 * and of both together first.
 */
export function putPublish(
  to: usize,
  subject: usize,
  subjectBytes: i32,
  id: usize,
  idBytes: i32,
  payloadBytes: i32,
): usize {
  const headerBytes = HEADER_BEGIN.bytes + idBytes + HEADER_END.bytes;
  let out = putBytes(put(to, PUBLISH), subject, subjectBytes);
  store<u8>(out++, 0x20);
  out = putNumber(out, headerBytes);
  store<u8>(out++, 0x20);
  out = putNumber(out, headerBytes + payloadBytes);
  out = put(out, LINE_END);
  out = putBytes(put(out, HEADER_BEGIN), id, idBytes);
  return put(out, HEADER_END);
}

/** What counts against max_payload besides the payload. */
export function headerBytesOf(idBytes: i32): i32 {
  return HEADER_BEGIN.bytes + idBytes + HEADER_END.bytes;
}

export function putLineEnd(to: usize): usize {
  return put(to, LINE_END);
}

// ---- the answer

/** The server's PONG came, as a whole line of its own. */
export let answerPong = false;
/** The kind of the first -ERR line, None without one. */
export let answerError: Cause = Cause.None;
/** INFO's max_payload, 0 when it did not come. */
export let answerPayloadMax: u32 = 0;
/** INFO says that the server wants TLS: this connection has none, or it would not have been asked again. */
export let answerWantsTls = false;
/** INFO came and does not say that the server knows message headers. */
export let answerLacksHeaders = false;

const errorText = heap.alloc(160);
let errorTextBytes: i32 = 0;
const line = heap.alloc(LINE_BYTES_MAX);
let lineBytes: i32 = 0;

const INFO = text("INFO ");
const PONG = text("PONG");
const ERROR = text("-ERR");
const MAX_PAYLOAD = text('"max_payload":');
const TLS_REQUIRED = text('"tls_required":true');
const HEADERS_TRUE = text('"headers":true');
const AUTHORIZATION = text("uthorization");
const AUTHENTICATION = text("uthentication");
const PERMISSIONS = text("ermissions Violation");
const PAYLOAD = text("aximum Payload");

/** Reads the answer of the call whose callback runs now. */
export function readAnswer(bytes: i32): void {
  answerPong = false;
  answerError = Cause.None;
  answerPayloadMax = 0;
  answerWantsTls = false;
  answerLacksHeaders = false;
  errorTextBytes = 0;
  lineBytes = 0;
  const end = bytes < ANSWER_BYTES_MAX ? bytes : ANSWER_BYTES_MAX;
  let offset = 0;
  while (offset < end) {
    const place = mark();
    const rest = end - offset;
    const read = readBuffer(Buffer.HttpCallResponseBody, offset, min(rest, PIECE_BYTES));
    if (read <= 0) return;
    for (let i = 0; i < read; i++) {
      const byte = load<u8>(bufferAt + <usize>i);
      if (byte === 0x0a) {
        readLine();
        lineBytes = 0;
      } else if (lineBytes < LINE_BYTES_MAX) {
        store<u8>(line + <usize>lineBytes, byte);
        lineBytes++;
      }
    }
    offset += read;
    release(place);
  }
  // A last line without its end is half a line and says nothing.
}

/** The server's own words about what it refused, for the log. */
export function answerErrorText(): string {
  return String.UTF8.decodeUnsafe(errorText, <usize>errorTextBytes);
}

function readLine(): void {
  if (begins(PONG)) {
    answerPong = lineBytes === PONG.bytes || (lineBytes === 5 && load<u8>(line + 4) === 0x0d);
    return;
  }
  if (begins(ERROR)) {
    readError();
    return;
  }
  if (!begins(INFO)) return;
  answerPayloadMax = numberAfter(MAX_PAYLOAD);
  answerWantsTls = find(TLS_REQUIRED) >= 0;
  answerLacksHeaders = find(HEADERS_TRUE) < 0;
}

function readError(): void {
  if (answerError !== Cause.None) return;
  // Permissions first: their text quotes the subject, and an experiment may be called "authorization".
  if (find(PERMISSIONS) >= 0) answerError = Cause.Permissions;
  else if (find(AUTHORIZATION) >= 0 || find(AUTHENTICATION) >= 0)
    answerError = Cause.Authentication;
  else if (find(PAYLOAD) >= 0) answerError = Cause.TooLarge;
  else answerError = Cause.Protocol;
  errorTextBytes = 0;
  for (let i = 0; i < lineBytes && errorTextBytes < 160; i++) {
    const byte = load<u8>(line + <usize>i);
    if (byte < 0x20 || byte > 0x7e) continue;
    store<u8>(errorText + <usize>errorTextBytes, byte);
    errorTextBytes++;
  }
}

function begins(prefix: Text): bool {
  return lineBytes >= prefix.bytes && memory.compare(line, prefix.at, <usize>prefix.bytes) === 0;
}

/** Where a text stands in the line; -1 when it does not. */
function find(what: Text): i32 {
  const first = load<u8>(what.at);
  for (let i = 0; i + what.bytes <= lineBytes; i++) {
    if (load<u8>(line + <usize>i) !== first) continue;
    if (memory.compare(line + <usize>i, what.at, <usize>what.bytes) === 0) return i;
  }
  return -1;
}

function numberAfter(what: Text): u32 {
  const at = find(what);
  if (at < 0) return 0;
  let value: u64 = 0;
  for (let i = at + what.bytes; i < lineBytes; i++) {
    const digit = <u32>load<u8>(line + <usize>i) - 0x30;
    if (digit > 9) break;
    value = value * 10 + digit;
    if (value > <u64>i32.MAX_VALUE) return <u32>i32.MAX_VALUE;
  }
  return <u32>value;
}
