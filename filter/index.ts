// The callbacks that Envoy knows. Each looks its context up and leaves the rest to the tagger, the observers, or the
// outbox. Every answer lets traffic pass; contexts that we do not know are none of our business.
import "./host/abort";
import {
  closeConfig,
  configMistake,
  endConfig,
  leaveConfig,
  Role,
  readConfig,
  transport,
  useConfig,
} from "./config";
import {
  addStream,
  configOfRoot,
  findStream,
  haveStreamsOverflowed,
  removeRoot,
  removeStream,
  Stream,
  StreamState,
  setRootConfig,
} from "./contexts";
import { allocate, resetArena } from "./host/arena";
import { Buffer, bufferAt, readBuffer } from "./host/buffers";
import { monotonicUs } from "./host/clock";
import { LogLevel, log } from "./host/log";
import { setTick } from "./host/root";
import {
  onObserverDone,
  onObserverRequest,
  onObserverRequestBody,
  onObserverRequestTrailers,
  onObserverResponse,
  onObserverResponseBody,
  onObserverResponseTrailers,
} from "./observer";
import { configureOutbox, onHttpCallResponse, onRootDelete, onRootDone, onTick } from "./outbox";
import { onTaggerDone, onTaggerRequest, removeOurHeaders } from "./tagger";

/** What every callback about a stream answers. */
const CONTINUE: i32 = 0;

export function proxy_abi_version_0_2_1(): void {}

/** Envoy asks for memory before it hands us something. */
export function malloc(bytes: i32): usize {
  return allocate(bytes);
}

export function proxy_on_memory_allocate(bytes: i32): usize {
  return allocate(bytes);
}

export function proxy_on_vm_start(_rootId: u32, _configurationBytes: i32): i32 {
  return 1;
}

/** 0 refuses: Envoy then keeps the configuration it had, or does not start with this one. */
export function proxy_on_configure(rootId: u32, configurationBytes: i32): i32 {
  resetArena();
  const bytes = readBuffer(Buffer.PluginConfiguration, 0, configurationBytes);
  if (bytes !== configurationBytes || bytes <= 0) {
    log(LogLevel.Error, `the configuration cannot be read: ${configurationBytes.toString()} bytes`);
    return 0;
  }
  const before = configOfRoot(rootId);
  const config = readConfig(bufferAt, bytes);
  if (config === null) {
    log(LogLevel.Error, `the configuration is refused: ${configMistake}`);
    return 0;
  }
  const outboxReady = configureOutbox(
    rootId,
    transport.outboxBytes,
    transport.tickMs,
    transport.ledgerIntervalMs,
    transport.cluster,
    transport.user,
    transport.password,
    transport.token,
    transport.timeoutMs,
  );
  if (!outboxReady || !setRootConfig(rootId, config)) {
    log(LogLevel.Error, "the configuration is refused: too many at once");
    endConfig(config);
    return 0;
  }
  setTick(transport.tickMs);
  if (before !== null) endConfig(before);
  return 1;
}

export function proxy_on_context_create(contextId: u32, parentId: u32): void {
  if (parentId === 0) return;
  const config = configOfRoot(parentId);
  if (config === null) return;
  if (addStream(contextId, config) !== null) useConfig(config);
}

export function proxy_on_request_headers(contextId: u32, _headers: i32, endOfStream: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream === null) {
    // If the table was full when it was created, our headers still come off.
    if (haveStreamsOverflowed()) removeOurHeaders();
    return CONTINUE;
  }
  const config = stream.config;
  if (config === null || stream.state !== <u8>StreamState.Fresh) return CONTINUE;
  if (config.role === Role.Tagger) onTaggerRequest(stream, config, endOfStream !== 0);
  else onObserverRequest(stream, config, endOfStream !== 0);
  return CONTINUE;
}

export function proxy_on_request_body(contextId: u32, bytes: i32, endOfStream: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) onObserverRequestBody(stream, bytes, endOfStream !== 0);
  return CONTINUE;
}

export function proxy_on_request_trailers(contextId: u32, _trailers: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) onObserverRequestTrailers(stream);
  return CONTINUE;
}

export function proxy_on_response_headers(contextId: u32, _headers: i32, endOfStream: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) onObserverResponse(stream, endOfStream !== 0);
  return CONTINUE;
}

export function proxy_on_response_body(contextId: u32, bytes: i32, endOfStream: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) onObserverResponseBody(stream, bytes, endOfStream !== 0);
  return CONTINUE;
}

export function proxy_on_response_trailers(contextId: u32, _trailers: i32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) onObserverResponseTrailers(stream);
  return CONTINUE;
}

function endStream(stream: Stream): void {
  const config = stream.config;
  if (stream.state === <u8>StreamState.Fresh) {
    removeStream(stream.id);
    if (config !== null) leaveConfig(config);
  } else if (stream.state === <u8>StreamState.Tagged) {
    if (config !== null) onTaggerDone(stream, config);
  } else {
    onObserverDone(stream);
  }
}

/** For a root 0 means "not yet": it may still send, and says with `proxy_done` when it has. */
export function proxy_on_done(contextId: u32): i32 {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) {
    endStream(stream);
    return 1;
  }
  const config = configOfRoot(contextId);
  if (config === null) return 1;
  closeConfig(config);
  return onRootDone(contextId) ? 1 : 0;
}

export function proxy_on_delete(contextId: u32): void {
  resetArena();
  const stream = findStream(contextId);
  if (stream !== null) {
    endStream(stream);
    return;
  }
  const config = configOfRoot(contextId);
  if (config === null) return;
  removeRoot(contextId);
  onRootDelete(contextId);
  endConfig(config);
}

export function proxy_on_tick(rootId: u32): void {
  resetArena();
  if (configOfRoot(rootId) !== null) onTick(rootId, monotonicUs());
}

export function proxy_on_http_call_response(
  rootId: u32,
  token: u32,
  headers: i32,
  bodyBytes: i32,
  _trailers: i32,
): void {
  resetArena();
  onHttpCallResponse(rootId, token, headers, bodyBytes);
}
