import { readFileSync } from "node:fs";
import { type CallAnswer, type CallRefused, NatsServer } from "./nats-wire.ts";
import { SeededRandom } from "./random.ts";

/** What a host call answers (Proxy-Wasm 0.2.1). */
export const Result = {
  ok: 0,
  notFound: 1,
  badArgument: 2,
  serializationFailure: 3,
  invalidMemoryAccess: 6,
  internalFailure: 10,
} as const;

/** Which buffer and which header map, as the ABI numbers them. */
const BufferType = {
  requestBody: 0,
  responseBody: 1,
  httpCallResponseBody: 4,
  vmConfiguration: 6,
  pluginConfiguration: 7,
} as const;
const MapType = {
  requestHeaders: 0,
  requestTrailers: 1,
  responseHeaders: 2,
  responseTrailers: 3,
  httpCallResponseHeaders: 6,
} as const;

export type Headers = [string, string][];

export interface HttpCall {
  readonly token: number;
  readonly rootId: number;
  readonly cluster: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly timeoutMs: number;
  readonly sentAtUs: number;
}

export interface LogLine {
  readonly level: number;
  readonly message: string;
}

interface Metric {
  readonly name: string;
  readonly type: number;
  value: bigint;
}

/** A root context (one plugin's configuration) or a stream context (one filter instance). */
interface Context {
  readonly id: number;
  readonly root: Context | null;
  buffers: Map<number, Buffer>;
  maps: Map<number, Headers>;
  properties: Map<string, string | number>;
  /** Shared by the tagger and the primary leg's filters of one request. */
  filterState: Map<string, Buffer>;
  isMirrored: boolean;
  tickMs: number;
  nextTickUs: number;
  leaving: boolean;
}

export interface HostOptions {
  readonly seed?: number;
  readonly wallUs?: number;
  readonly wasm?: string;
  /** Instead of the seeded source. */
  readonly random?: (count: number) => Uint8Array;
}

/** All of ABI 0.2.1: number of parameters by function. Anything else is a missing import in Envoy. */
export const ENVOY_FUNCTIONS: Readonly<Record<string, number>> = {
  proxy_log: 3,
  proxy_get_log_level: 1,
  proxy_get_status: 3,
  proxy_set_property: 4,
  proxy_get_property: 4,
  proxy_continue_stream: 1,
  proxy_close_stream: 1,
  proxy_send_local_response: 8,
  proxy_get_shared_data: 5,
  proxy_set_shared_data: 5,
  proxy_register_shared_queue: 3,
  proxy_resolve_shared_queue: 5,
  proxy_dequeue_shared_queue: 3,
  proxy_enqueue_shared_queue: 3,
  proxy_add_header_map_value: 5,
  proxy_get_header_map_value: 5,
  proxy_replace_header_map_value: 5,
  proxy_remove_header_map_value: 3,
  proxy_get_header_map_pairs: 3,
  proxy_set_header_map_pairs: 3,
  proxy_get_header_map_size: 2,
  proxy_get_buffer_bytes: 5,
  proxy_get_buffer_status: 3,
  proxy_set_buffer_bytes: 5,
  proxy_http_call: 10,
  proxy_grpc_call: 12,
  proxy_grpc_stream: 9,
  proxy_grpc_cancel: 1,
  proxy_grpc_close: 1,
  proxy_grpc_send: 4,
  proxy_define_metric: 4,
  proxy_increment_metric: 2,
  proxy_record_metric: 2,
  proxy_get_metric: 2,
  proxy_set_tick_period_milliseconds: 1,
  proxy_get_current_time_nanoseconds: 1,
  proxy_set_effective_context: 1,
  proxy_done: 0,
  proxy_call_foreign_function: 6,
};

/** The callbacks that Envoy looks for, with the number of their parameters. */
export const ENVOY_CALLBACKS: Readonly<Record<string, number>> = {
  proxy_validate_configuration: 2,
  proxy_on_vm_start: 2,
  proxy_on_configure: 2,
  proxy_on_tick: 1,
  proxy_on_context_create: 2,
  proxy_on_new_connection: 1,
  proxy_on_downstream_data: 3,
  proxy_on_upstream_data: 3,
  proxy_on_downstream_connection_close: 2,
  proxy_on_upstream_connection_close: 2,
  proxy_on_request_headers: 3,
  proxy_on_request_body: 3,
  proxy_on_request_trailers: 2,
  proxy_on_request_metadata: 2,
  proxy_on_response_headers: 3,
  proxy_on_response_body: 3,
  proxy_on_response_trailers: 2,
  proxy_on_response_metadata: 2,
  proxy_on_http_call_response: 5,
  proxy_on_grpc_receive_initial_metadata: 3,
  proxy_on_grpc_receive: 3,
  proxy_on_grpc_receive_trailing_metadata: 3,
  proxy_on_grpc_close: 3,
  proxy_on_queue_ready: 2,
  proxy_on_foreign_function: 3,
  proxy_on_done: 1,
  proxy_on_log: 1,
  proxy_on_delete: 1,
};

/** Properties that were seen to be safe on every leg (Envoy 1.40); any other is not to be asked for. */
const PROPERTIES = [
  "xds.cluster_name",
  "upstream.transport_failure_reason",
  "upstream.request_attempt_count",
  "upstream.cx_pool_ready_duration",
  "response.code",
  "response.code_details",
  "response.flags",
  "response.grpc_status",
  "connection_id",
  "connection.id",
  "request.protocol",
  "request.duration",
  "request.id",
  "plugin_name",
  "plugin_root_id",
];
const FILTER_STATE = ["shadow_pair"];

function makeContext(id: number, root: Context | null): Context {
  return {
    id,
    root,
    buffers: new Map(),
    maps: new Map(),
    properties: new Map(),
    filterState: new Map(),
    isMirrored: false,
    tickMs: 0,
    nextTickUs: 0,
    leaving: false,
  };
}

const modules = new Map<string, WebAssembly.Module>();

/** Compiled once a test process. Run `npm run build:filter` first. */
export function filterModule(path = "build/shadowgraph.wasm"): WebAssembly.Module {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const made = new WebAssembly.Module(readFileSync(path));
  modules.set(path, made);
  return made;
}

type Exported = (...args: number[]) => number | undefined;

/**
 * Envoy as one worker's VM sees it: Proxy-Wasm ABI 0.2.1 with the semantics of proxy-wasm-cpp-host and Envoy 1.40, under a clock,
 * a random source and a network that the test holds in its hand. Whatever the filter does that Envoy would not allow, or that we
 * promise never to do (pause a stream, ask for a property that can kill Envoy), throws and so fails the test.
 */
export class ProxyHost {
  readonly nats = new NatsServer();
  readonly calls: HttpCall[] = [];
  readonly logs: LogLine[] = [];
  readonly metrics = new Map<number, Metric>();
  /** How often each host function was called. */
  readonly callCounts = new Map<string, number>();
  wallUs: number;
  monotonicUs = 1_000_000_000;
  /** Answers `proxy_http_call` itself when not null. */
  refuseCalls: CallRefused | null = null;
  /** Asked before every host call; a number is answered instead of doing anything. */
  failHostCall: ((name: string, index: number) => number | null) | null = null;
  hostCallIndex = 0;
  readonly random: SeededRandom;
  private readonly randomBytes: (count: number) => Uint8Array;
  private readonly instance: WebAssembly.Instance;
  readonly memory: WebAssembly.Memory;
  private readonly contexts = new Map<number, Context>();
  private nextContextId = 1;
  private nextToken = 1;
  private nextMetric = 4;
  private current: Context | null = null;
  private effective: Context | null = null;
  private starting = true;
  private answering = false;
  private afterCallback: (() => void)[] = [];
  /** Stands for contexts that do not exist, when a test calls back with such an id. */
  private readonly stranger = makeContext(0, null);
  readonly pendingCalls = new Map<number, HttpCall>();

  constructor(options: HostOptions = {}) {
    this.random = new SeededRandom(options.seed ?? 1);
    this.randomBytes = options.random ?? ((count) => this.random.bytes(count));
    this.wallUs = options.wallUs ?? 1_795_420_800_000_000;
    this.instance = new WebAssembly.Instance(filterModule(options.wasm), this.imports());
    const memory = this.instance.exports["memory"];
    if (!(memory instanceof WebAssembly.Memory)) throw new Error("the module exports no memory");
    this.memory = memory;
    this.exported("_initialize")?.();
    this.starting = false;
  }

  // ---- time

  advanceUs(us: number): void {
    this.monotonicUs += us;
    this.wallUs += us;
  }

  /** Lets time pass and gives every root its ticks in order; calls are answered by `nats` before time goes on. */
  async advanceMs(ms: number): Promise<void> {
    const end = this.monotonicUs + ms * 1000;
    for (;;) {
      this.answerCalls();
      const due = [...this.contexts.values()]
        .filter((context) => context.root === null && context.tickMs > 0)
        .sort((a, b) => a.nextTickUs - b.nextTickUs)[0];
      if (due === undefined || due.nextTickUs > end) break;
      if (due.nextTickUs > this.monotonicUs) this.advanceUs(due.nextTickUs - this.monotonicUs);
      this.tick(due.id);
    }
    if (end > this.monotonicUs) this.advanceUs(end - this.monotonicUs);
  }

  tick(rootId: number): void {
    const root = this.context(rootId);
    root.nextTickUs = this.monotonicUs + root.tickMs * 1000;
    this.run(root, "proxy_on_tick", root.id);
  }

  // ---- roots

  /** A new root context with this configuration. `accepted: false`: what Envoy refuses and logs. */
  configure(configuration: unknown): { rootId: number; accepted: boolean } {
    const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration);
    const root = this.addContext(null);
    this.run(root, "proxy_on_context_create", root.id, 0);
    root.buffers.set(BufferType.vmConfiguration, Buffer.alloc(0));
    if (this.run(root, "proxy_on_vm_start", root.id, 0) === 0) throw new Error("VM did not start");
    return { rootId: root.id, accepted: this.reconfigure(root.id, text) };
  }

  reconfigure(rootId: number, text: string): boolean {
    const root = this.context(rootId);
    const bytes = Buffer.from(text);
    root.buffers.set(BufferType.pluginConfiguration, bytes);
    const answer = this.run(root, "proxy_on_configure", root.id, bytes.length);
    root.buffers.delete(BufferType.pluginConfiguration);
    return answer === 1;
  }

  /** Envoy lets go of a plugin; true when its root was deleted at once, false when it waits for `proxy_done`. */
  endRoot(rootId: number): boolean {
    const root = this.context(rootId);
    root.leaving = true;
    if (this.run(root, "proxy_on_done", root.id) === 0) return false;
    this.deleteRoot(rootId);
    return true;
  }

  /** Its calls are cancelled without an answer. */
  deleteRoot(rootId: number): void {
    const root = this.context(rootId);
    for (const call of [...this.pendingCalls.values()]) {
      if (call.rootId === rootId) this.pendingCalls.delete(call.token);
    }
    this.run(root, "proxy_on_delete", root.id);
    this.contexts.delete(rootId);
  }

  isRootAlive(rootId: number): boolean {
    return this.contexts.has(rootId);
  }

  // ---- calls

  /** Lets `nats` answer everything that is under way. */
  answerCalls(): void {
    for (let rounds = 0; this.pendingCalls.size > 0; rounds++) {
      if (rounds > 1000) throw new Error("calls without end at one moment");
      for (const call of [...this.pendingCalls.values()])
        this.answer(call, this.nats.answer(call.body));
    }
  }

  answer(call: HttpCall, answer: CallAnswer): void {
    if (!this.pendingCalls.delete(call.token))
      throw new Error(`call ${call.token} is not under way`);
    const root = this.context(call.rootId);
    root.maps.set(
      MapType.httpCallResponseHeaders,
      answer.headers.map(([name, value]) => [name, value]),
    );
    root.buffers.set(BufferType.httpCallResponseBody, Buffer.from(answer.body));
    this.answering = true;
    try {
      this.run(
        root,
        "proxy_on_http_call_response",
        root.id,
        call.token,
        answer.headers.length,
        Buffer.byteLength(answer.body),
        0,
      );
    } finally {
      this.answering = false;
    }
    root.maps.delete(MapType.httpCallResponseHeaders);
    root.buffers.delete(BufferType.httpCallResponseBody);
  }

  get lastCall(): HttpCall {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error("no call was made");
    return call;
  }

  /** The value of a counter by its name; 0 when it was never defined. */
  metric(name: string): number {
    let value = 0n;
    for (const metric of this.metrics.values()) if (metric.name === name) value += metric.value;
    return Number(value);
  }

  // ---- streams

  /** A filter instance of a root for one stream. */
  openStream(
    rootId: number,
    options: Partial<Pick<Context, "filterState" | "isMirrored">> = {},
  ): number {
    const stream = this.addContext(this.context(rootId));
    Object.assign(stream, options);
    this.run(stream, "proxy_on_context_create", stream.id, rootId);
    return stream.id;
  }

  setProperty(streamId: number, name: string, value: string | number): void {
    this.context(streamId).properties.set(name, value);
  }

  requestHeaders(streamId: number, headers: Headers, end: boolean): void {
    const stream = this.context(streamId);
    stream.maps.set(MapType.requestHeaders, headers);
    this.runOn(stream, "proxy_on_request_headers", streamId, headers.length, end ? 1 : 0);
  }

  requestBody(streamId: number, chunk: Uint8Array | string, end: boolean): void {
    this.body(streamId, "proxy_on_request_body", BufferType.requestBody, chunk, end);
  }

  requestTrailers(streamId: number, trailers: Headers): void {
    this.context(streamId).maps.set(MapType.requestTrailers, trailers);
    this.runOn(this.context(streamId), "proxy_on_request_trailers", streamId, trailers.length);
  }

  responseHeaders(streamId: number, headers: Headers, end: boolean): void {
    const stream = this.context(streamId);
    stream.maps.set(MapType.responseHeaders, headers);
    this.runOn(stream, "proxy_on_response_headers", streamId, headers.length, end ? 1 : 0);
  }

  responseBody(streamId: number, chunk: Uint8Array | string, end: boolean): void {
    this.body(streamId, "proxy_on_response_body", BufferType.responseBody, chunk, end);
  }

  responseTrailers(streamId: number, trailers: Headers): void {
    this.context(streamId).maps.set(MapType.responseTrailers, trailers);
    this.runOn(this.context(streamId), "proxy_on_response_trailers", streamId, trailers.length);
  }

  /** `logged`: downstream filters get `onLog` before `onDone`; upstream ones never do. */
  closeStream(streamId: number, logged: boolean): void {
    const stream = this.context(streamId);
    if (logged) this.run(stream, "proxy_on_log", streamId);
    if (this.run(stream, "proxy_on_done", streamId) !== 1)
      throw new Error("a stream was held open");
    this.run(stream, "proxy_on_delete", streamId);
    this.contexts.delete(streamId);
  }

  /** Any callback with any id, known or not: only whether it traps matters. */
  callRaw(name: string, ...args: number[]): number {
    return this.run(this.contexts.get(args[0] ?? 0) ?? this.stranger, name, ...args);
  }

  private body(
    streamId: number,
    callback: string,
    type: number,
    chunk: Uint8Array | string,
    end: boolean,
  ): void {
    const stream = this.context(streamId);
    const bytes =
      typeof chunk === "string"
        ? Buffer.from(chunk)
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    stream.buffers.set(type, bytes);
    this.runOn(stream, callback, streamId, bytes.length, end ? 1 : 0);
    stream.buffers.delete(type);
  }

  // ---- the ABI

  private addContext(root: Context | null): Context {
    const context = makeContext(this.nextContextId++, root);
    this.contexts.set(context.id, context);
    return context;
  }

  private context(id: number): Context {
    const context = this.contexts.get(id);
    if (context === undefined) throw new Error(`context ${id} does not exist`);
    return context;
  }

  private exported(name: string): Exported | undefined {
    const value = this.instance.exports[name];
    return typeof value === "function" ? (value as Exported) : undefined;
  }

  private run(context: Context | null, name: string, ...args: number[]): number {
    const callback = this.exported(name);
    if (callback === undefined)
      return name === "proxy_on_done" || name === "proxy_on_vm_start" ? 1 : 0;
    const outer = this.current;
    const outerEffective = this.effective;
    this.current = context;
    this.effective = null;
    let answer: number;
    try {
      answer = callback(...args) ?? 0;
    } finally {
      this.current = outer;
      this.effective = outerEffective;
    }
    if (outer === null) for (const action of this.afterCallback.splice(0)) action();
    return answer;
  }

  /** A callback of a stream that could pause it: we promise that none ever does. */
  private runOn(context: Context, name: string, ...args: number[]): void {
    const action = this.run(context, name, ...args);
    if (action !== 0) throw new Error(`${name} paused the stream (action ${action})`);
  }

  private view = Buffer.alloc(0);

  /** The module's memory; made anew when it has grown. */
  private get bytes(): Buffer {
    if (this.view.buffer !== this.memory.buffer) this.view = Buffer.from(this.memory.buffer);
    return this.view;
  }

  private read(at: number, count: number): Buffer {
    if (at < 0 || count < 0 || at + count > this.memory.buffer.byteLength)
      throw new Error("address outside of memory");
    return Buffer.from(this.bytes.subarray(at, at + count));
  }

  private readText(at: number, count: number): string {
    return this.read(at, count).toString("utf8");
  }

  private write32(at: number, value: number): void {
    this.bytes.writeUInt32LE(value >>> 0, at);
  }

  /** Copies into memory that the module gives; nothing for nothing. */
  private handOut(bytes: Uint8Array, at: number, size: number): number {
    let place = 0;
    if (bytes.length > 0) {
      place = (this.exported("malloc")?.(bytes.length) ?? 0) >>> 0;
      if (place === 0) return Result.invalidMemoryAccess;
      if (place + bytes.length > this.memory.buffer.byteLength)
        throw new Error("malloc answered an address outside of memory");
      new Uint8Array(this.memory.buffer).set(bytes, place);
    }
    this.write32(at, place);
    this.write32(size, bytes.length);
    return Result.ok;
  }

  private get acting(): Context {
    const context = this.effective ?? this.current;
    if (context === null) throw new Error("a host call outside of any context");
    return context;
  }

  private headerMap(type: number): Headers | null {
    const context =
      type === MapType.httpCallResponseHeaders ? (this.acting.root ?? this.acting) : this.acting;
    return context.maps.get(type) ?? null;
  }

  private imports(): WebAssembly.Imports {
    const env: Record<string, (...args: never[]) => number> = {};
    for (const name of Object.keys(ENVOY_FUNCTIONS)) {
      env[name] = () => {
        throw new Error(`unexpected host call ${name}`);
      };
    }
    const implemented = this.functions();
    for (const [name, implementation] of Object.entries(implemented)) {
      env[name] = this.guarded(name, implementation);
    }
    return {
      env,
      wasi_snapshot_preview1: {
        clock_time_get: this.guarded(
          "clock_time_get",
          (clock: number, _precision: bigint, at: number) => {
            const us = clock === 0 ? this.wallUs : this.monotonicUs;
            this.bytes.writeBigUInt64LE(BigInt(us) * 1000n, at);
            return 0;
          },
        ),
        random_get: this.guarded("random_get", (at: number, count: number) => {
          new Uint8Array(this.memory.buffer).set(this.randomBytes(count), at);
          return 0;
        }),
      },
    };
  }

  private guarded<A extends unknown[]>(
    name: string,
    implementation: (...args: A) => number,
  ): (...args: A) => number {
    const free = name === "proxy_log" || name === "clock_time_get" || name === "random_get";
    return (...args: A): number => {
      if (this.starting && !free) throw new Error(`${name} is not allowed while the VM starts`);
      const index = this.hostCallIndex++;
      if (this.failHostCall !== null) {
        const result = this.failHostCall(name, index);
        if (result !== null) return result;
      }
      this.callCounts.set(name, (this.callCounts.get(name) ?? 0) + 1);
      return implementation(...args);
    };
  }

  private functions(): Record<string, (...args: never[]) => number> {
    return {
      proxy_log: (level: number, at: number, count: number) => {
        this.logs.push({ level, message: this.readText(at, count) });
        return Result.ok;
      },
      proxy_get_header_map_pairs: (type: number, at: number, size: number) => {
        const map = this.headerMap(type);
        if (map === null) return Result.badArgument;
        return this.handOut(map.length === 0 ? Buffer.alloc(0) : encodePairs(map), at, size);
      },
      proxy_get_header_map_value: (
        type: number,
        key: number,
        keySize: number,
        at: number,
        size: number,
      ) => {
        const map = this.headerMap(type);
        if (map === null) return Result.badArgument;
        const name = this.readText(key, keySize).toLowerCase();
        const values = map
          .filter(([other]) => other.toLowerCase() === name)
          .map(([, value]) => value);
        if (values.length === 0) return Result.notFound;
        return this.handOut(Buffer.from(values.join(","), "utf8"), at, size);
      },
      proxy_add_header_map_value: (
        type: number,
        key: number,
        keySize: number,
        value: number,
        valueSize: number,
      ) => {
        const map = this.headerMap(type);
        if (map === null) return Result.badArgument;
        map.push([this.readText(key, keySize), this.readText(value, valueSize)]);
        return Result.ok;
      },
      proxy_replace_header_map_value: (
        type: number,
        key: number,
        keySize: number,
        value: number,
        valueSize: number,
      ) => {
        const map = this.headerMap(type);
        if (map === null) return Result.badArgument;
        const name = this.readText(key, keySize);
        removeHeader(map, name);
        map.push([name, this.readText(value, valueSize)]);
        return Result.ok;
      },
      proxy_remove_header_map_value: (type: number, key: number, keySize: number) => {
        const map = this.headerMap(type);
        if (map === null) return Result.badArgument;
        removeHeader(map, this.readText(key, keySize));
        return Result.ok;
      },
      proxy_get_buffer_bytes: (
        type: number,
        start: number,
        count: number,
        at: number,
        size: number,
      ) => {
        const context =
          type === BufferType.httpCallResponseBody
            ? (this.acting.root ?? this.acting)
            : this.acting;
        const buffer = context.buffers.get(type);
        if (buffer === undefined) return Result.notFound;
        if (start < 0 || count < 0) return Result.badArgument;
        return this.handOut(
          buffer.subarray(Math.min(start, buffer.length), Math.min(start + count, buffer.length)),
          at,
          size,
        );
      },
      proxy_get_property: (path: number, pathSize: number, at: number, size: number) => {
        const name = this.readText(path, pathSize).replace(/\0$/, "").replaceAll("\0", ".");
        if (FILTER_STATE.includes(name)) {
          const state = this.acting.filterState.get(name);
          return state === undefined ? Result.notFound : this.handOut(state, at, size);
        }
        if (/^(source|destination)\b/.test(name))
          throw new Error(`${name} can end the whole Envoy process`);
        if (!PROPERTIES.includes(name)) throw new Error(`unexpected property ${name}`);
        const value = this.acting.properties.get(name);
        if (value === undefined) return Result.notFound;
        if (typeof value === "string") return this.handOut(Buffer.from(value), at, size);
        const bytes = Buffer.alloc(8);
        bytes.writeBigInt64LE(BigInt(value));
        return this.handOut(bytes, at, size);
      },
      proxy_set_property: (path: number, pathSize: number, value: number, valueSize: number) => {
        const name = this.readText(path, pathSize);
        if (!FILTER_STATE.includes(name)) throw new Error(`unexpected filter state ${name}`);
        this.acting.filterState.set(name, this.read(value, valueSize));
        return Result.ok;
      },
      proxy_set_tick_period_milliseconds: (periodMs: number) => {
        const root = this.acting.root ?? this.acting;
        root.tickMs = periodMs;
        root.nextTickUs = this.monotonicUs + periodMs * 1000;
        return Result.ok;
      },
      proxy_set_effective_context: (id: number) => {
        const context = this.contexts.get(id);
        if (context === undefined) return Result.badArgument;
        this.effective = context;
        return Result.ok;
      },
      proxy_done: () => {
        const root = this.acting;
        if (root.root !== null || !root.leaving) return Result.notFound;
        this.afterCallback.push(() => this.deleteRoot(root.id));
        return Result.ok;
      },
      proxy_http_call: (
        cluster: number,
        clusterSize: number,
        headers: number,
        headersSize: number,
        body: number,
        bodySize: number,
        _trailers: number,
        trailersSize: number,
        timeoutMs: number,
        tokenAt: number,
      ) => {
        if (trailersSize !== 0) throw new Error("trailers are ignored by Envoy");
        if (timeoutMs <= 0) throw new Error("a call without a time limit");
        // Seen with Envoy 1.40: the call gets the connection that was just answered on, which the server is closing.
        if (this.answering) throw new Error("a call from within the answer of another");
        if (this.refuseCalls !== null) return this.refuseCalls.result;
        const map = new Map(decodePairs(this.read(headers, headersSize)));
        for (const name of [":method", ":path", ":authority"]) {
          if (!map.has(name)) return Result.badArgument;
        }
        const root = this.acting.root ?? this.acting;
        const call: HttpCall = {
          token: this.nextToken++,
          rootId: root.id,
          cluster: this.readText(cluster, clusterSize),
          headers: map,
          body: this.read(body, bodySize),
          timeoutMs,
          sentAtUs: this.monotonicUs,
        };
        this.calls.push(call);
        this.pendingCalls.set(call.token, call);
        this.write32(tokenAt, call.token);
        return Result.ok;
      },
      proxy_define_metric: (type: number, at: number, count: number, idAt: number) => {
        const id = this.nextMetric;
        this.nextMetric += 4;
        const name = this.readText(at, count);
        if (!/^[a-z][a-zA-Z0-9_.-]*$/.test(name))
          throw new Error(`metric name ${JSON.stringify(name)}`);
        this.metrics.set(id, { name, type, value: 0n });
        this.write32(idAt, id);
        return Result.ok;
      },
      proxy_increment_metric: (id: number, by: bigint) => {
        const metric = this.metrics.get(id);
        if (metric === undefined) throw new Error(`unknown metric ${id}`);
        if (metric.type === 0 && by <= 0n)
          throw new Error(`counter ${metric.name} incremented by ${by}`);
        metric.value += by;
        return Result.ok;
      },
      proxy_record_metric: (id: number, value: bigint) => {
        const metric = this.metrics.get(id);
        if (metric === undefined) throw new Error(`unknown metric ${id}`);
        metric.value = value;
        return Result.ok;
      },
    };
  }
}

function removeHeader(map: Headers, name: string): void {
  const wanted = name.toLowerCase();
  for (let i = map.length - 1; i >= 0; i--) {
    if (map[i]?.[0].toLowerCase() === wanted) map.splice(i, 1);
  }
}

/** The ABI's layout of headers: count, sizes, then each name and value with a zero behind it. */
function encodePairs(headers: Headers): Buffer {
  const sizes = Buffer.alloc(4 + headers.length * 8);
  sizes.writeUInt32LE(headers.length, 0);
  const texts: Buffer[] = [];
  headers.forEach(([name, value], index) => {
    const nameBytes = Buffer.from(name);
    const valueBytes = Buffer.from(value);
    sizes.writeUInt32LE(nameBytes.length, 4 + index * 8);
    sizes.writeUInt32LE(valueBytes.length, 8 + index * 8);
    texts.push(nameBytes, Buffer.alloc(1), valueBytes, Buffer.alloc(1));
  });
  return Buffer.concat([sizes, ...texts]);
}

function decodePairs(bytes: Buffer): Headers {
  const count = bytes.readUInt32LE(0);
  let at = 4 + count * 8;
  const headers: Headers = [];
  const take = (size: number): string => {
    const text = bytes.toString("utf8", at, at + size);
    if (bytes[at + size] !== 0) throw new Error("no zero behind a header");
    at += size + 1;
    return text;
  };
  for (let i = 0; i < count; i++) {
    const nameBytes = bytes.readUInt32LE(4 + i * 8);
    const valueBytes = bytes.readUInt32LE(8 + i * 8);
    headers.push([take(nameBytes), take(valueBytes)]);
  }
  if (at !== bytes.length) throw new Error("header pairs of another size than announced");
  return headers;
}
