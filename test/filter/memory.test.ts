import { expect, test } from "@jest/globals";
import { pluginConfiguration } from "../support/mirrored-request.ts";
import { infoLine } from "../support/nats-wire.ts";
import { ENVOY_FUNCTIONS, filterModule } from "../support/proxy-host.ts";

const REQUESTS = 1_000_000;

type Callback = (...args: number[]) => number;

/**
 * A host for speed: the same ABI with canned answers, since the scripted proxy's bookkeeping would take an hour for a million
 * requests. What the filter sends is only counted here; the other tests read it.
 */
class FastHost {
  readonly memory: WebAssembly.Memory;
  private readonly exported: Readonly<Record<string, Callback>>;
  private view = new DataView(new ArrayBuffer(0));
  private bytes = new Uint8Array(0);
  nowUs = 1_000_000_000;
  private randomState = 1;
  /** What `get_header_map_pairs` and `get_header_map_value` answer in the running callback. */
  private headers: EncodedHeaders = encode([]);
  private cluster = new Uint8Array(0);
  private pair = new Uint8Array(0);
  private showsPair = false;
  private sampledNow = false;
  private buffer = new Uint8Array(0);
  pendingToken = 0;
  pendingRoot = 0;
  private token = 0;
  sentBytes = 0;
  sampled = 0;
  hostCalls = 0;

  constructor() {
    const env: Record<string, WebAssembly.ImportValue> = {};
    for (const name of Object.keys(ENVOY_FUNCTIONS)) {
      env[name] = () => {
        this.hostCalls++;
        return 0;
      };
    }
    Object.assign(env, this.functions());
    const instance = new WebAssembly.Instance(filterModule(), {
      env,
      wasi_snapshot_preview1: {
        clock_time_get: (_clock: number, _precision: bigint, at: number) => {
          const view = this.look();
          const nanoseconds = this.nowUs * 1000;
          view.setUint32(at, nanoseconds % 2 ** 32, true);
          view.setUint32(at + 4, Math.floor(nanoseconds / 2 ** 32), true);
          return 0;
        },
        random_get: (at: number, count: number) => {
          this.look();
          for (let i = 0; i < count; i++) {
            this.randomState = (Math.imul(this.randomState, 1664525) + 1013904223) >>> 0;
            this.bytes[at + i] = this.randomState >>> 24;
          }
          return 0;
        },
      },
    });
    this.exported = instance.exports as Readonly<Record<string, Callback>>;
    this.memory = instance.exports["memory"] as WebAssembly.Memory;
    this.call("_initialize");
  }

  private look(): DataView {
    if (this.view.buffer !== this.memory.buffer) {
      this.view = new DataView(this.memory.buffer);
      this.bytes = new Uint8Array(this.memory.buffer);
    }
    return this.view;
  }

  call(name: string, ...args: number[]): number {
    return this.exported[name]?.(...args) ?? 0;
  }

  private give(bytes: Uint8Array, at: number, size: number): number {
    const place = bytes.length === 0 ? 0 : (this.exported["malloc"]?.(bytes.length) ?? 0);
    if (bytes.length > 0 && place === 0) return 6;
    const view = this.look();
    this.bytes.set(bytes, place);
    view.setUint32(at, place, true);
    view.setUint32(size, bytes.length, true);
    return 0;
  }

  private functions(): Record<string, WebAssembly.ImportValue> {
    const decoder = new TextDecoder();
    // The filter's names stand at fixed places, so each is decoded once.
    const names = new Map<number, string>();
    const name = (at: number, size: number): string => {
      let known = names.get(at);
      if (known === undefined) {
        this.look();
        known = decoder.decode(this.bytes.subarray(at, at + size));
        names.set(at, known);
      }
      return known;
    };
    let metric = 0;
    return {
      proxy_get_header_map_pairs: (_map: number, at: number, size: number) => {
        this.hostCalls++;
        return this.give(this.headers.pairs, at, size);
      },
      proxy_get_header_map_value: (
        _map: number,
        key: number,
        keySize: number,
        at: number,
        size: number,
      ) => {
        this.hostCalls++;
        const wanted = name(key, keySize);
        if (wanted === "x-shadow-pair") return this.showsPair ? this.give(this.pair, at, size) : 1;
        const value = this.headers.values.get(wanted);
        return value === undefined ? 1 : this.give(value, at, size);
      },
      proxy_add_header_map_value: (_map: number, key: number, keySize: number) => {
        this.hostCalls++;
        if (name(key, keySize) === "x-shadow-sampled") this.sampledNow = true;
        return 0;
      },
      proxy_get_property: (path: number, pathSize: number, at: number, size: number) => {
        this.hostCalls++;
        const wanted = name(path, pathSize);
        if (wanted === "xds\0cluster_name") return this.give(this.cluster, at, size);
        if (wanted === "shadow_pair" && this.cluster[6] === 0x70)
          return this.give(this.pair, at, size);
        return 1;
      },
      proxy_set_property: (_path: number, _pathSize: number, value: number, valueSize: number) => {
        this.hostCalls++;
        this.look();
        this.pair = this.bytes.slice(value, value + valueSize);
        return 0;
      },
      proxy_get_buffer_bytes: (
        _type: number,
        start: number,
        count: number,
        at: number,
        size: number,
      ) => {
        this.hostCalls++;
        return this.give(this.buffer.subarray(start, start + count), at, size);
      },
      proxy_define_metric: (_type: number, _name: number, _size: number, at: number) => {
        this.look().setUint32(at, ++metric, true);
        return 0;
      },
      proxy_http_call: (...args: number[]) => {
        this.sentBytes += args[5] ?? 0;
        this.pendingToken = ++this.token;
        this.look().setUint32(args[9] ?? 0, this.token, true);
        return 0;
      },
    };
  }

  configure(rootId: number, role: "tagger" | "observer"): void {
    this.call("proxy_on_context_create", rootId, 0);
    this.buffer = new TextEncoder().encode(
      JSON.stringify(pluginConfiguration(role, { top: { outboxBytes: 1048576 } })),
    );
    if (this.call("proxy_on_configure", rootId, this.buffer.length) !== 1)
      throw new Error("refused");
  }

  tick(rootId: number): void {
    this.pendingRoot = rootId;
    this.call("proxy_on_tick", rootId);
    while (this.pendingToken > 0) {
      const token = this.pendingToken;
      this.pendingToken = 0;
      this.buffer = PONG;
      this.headers = OK;
      this.call("proxy_on_http_call_response", rootId, token, 1, PONG.length, 0);
    }
  }

  request(tagger: number, observer: number, id: number): void {
    this.headers = REQUEST;
    this.sampledNow = false;
    this.showsPair = false;
    this.call("proxy_on_context_create", id, tagger);
    this.call("proxy_on_request_headers", id, 8, 0);
    if (this.sampledNow) this.sampled++;
    for (const [leg, cluster] of LEGS) {
      this.cluster = cluster;
      this.headers = REQUEST;
      this.showsPair = this.sampledNow;
      this.call("proxy_on_context_create", id + leg, observer);
      this.call("proxy_on_request_headers", id + leg, 9, 0);
      this.buffer = BODY;
      this.call("proxy_on_request_body", id + leg, BODY.length, 1);
    }
    this.nowUs += 900;
    for (const [leg, cluster] of LEGS) {
      this.cluster = cluster;
      this.headers = RESPONSE;
      this.call("proxy_on_response_headers", id + leg, 3, 0);
      this.buffer = BODY;
      this.call("proxy_on_response_body", id + leg, BODY.length, 0);
      this.call("proxy_on_response_body", id + leg, 0, 1);
      this.call("proxy_on_done", id + leg);
      this.call("proxy_on_delete", id + leg);
    }
    this.nowUs += 100;
    this.call("proxy_on_log", id);
    this.call("proxy_on_done", id);
    this.call("proxy_on_delete", id);
  }
}

interface EncodedHeaders {
  readonly pairs: Uint8Array;
  readonly values: ReadonlyMap<string, Uint8Array>;
}

function encode(headers: readonly (readonly [string, string])[]): EncodedHeaders {
  const text = new TextEncoder();
  const head = new DataView(new ArrayBuffer(4 + headers.length * 8));
  head.setUint32(0, headers.length, true);
  headers.forEach(([name, value], index) => {
    head.setUint32(4 + index * 8, text.encode(name).length, true);
    head.setUint32(8 + index * 8, text.encode(value).length, true);
  });
  const body = text.encode(headers.map(([name, value]) => `${name}\0${value}\0`).join(""));
  const pairs = new Uint8Array(head.byteLength + body.length);
  pairs.set(new Uint8Array(head.buffer));
  pairs.set(body, head.byteLength);
  return { pairs, values: new Map(headers.map(([name, value]) => [name, text.encode(value)])) };
}

const REQUEST = encode([
  [":method", "POST"],
  [":path", "/accounts/8412/score?currency=EUR"],
  [":authority", "fraud.example"],
  ["content-type", "application/json"],
  ["content-length", "64"],
  ["user-agent", "memory-test"],
  ["x-country", "DE"],
  ["x-request-id", "5e0f6ab1-0000-4000-8000-000000000001"],
]);
const RESPONSE = encode([
  [":status", "200"],
  ["content-type", "application/json"],
  ["content-length", "64"],
]);
const OK = encode([[":status", "200"]]);
const BODY = new TextEncoder().encode("0123456789abcdef".repeat(4));
const PONG = new TextEncoder().encode(`${infoLine()}PONG\r\n`);
const LEGS = [
  [1, new TextEncoder().encode("fraud-primary")],
  [2, new TextEncoder().encode("fraud-shadow")],
] as const;

test("memory stays flat over 1,000,000 mirrored requests", () => {
  const host = new FastHost();
  host.configure(1, "tagger");
  host.configure(2, "observer");
  let nextTickUs = host.nowUs;
  let flatBytes = 0;
  for (let request = 0; request < REQUESTS; request++) {
    // Ids as Envoy hands them out: ever higher, past 2^32 they would begin again.
    host.request(1, 2, 100 + request * 4);
    if (host.nowUs >= nextTickUs) {
      host.tick(1 + (request & 1));
      nextTickUs = host.nowUs + 200_000;
    }
    // After the first ticks everything that is ever needed is there.
    if (request === 10_000) flatBytes = host.memory.buffer.byteLength;
  }
  host.nowUs += 200_000;
  host.tick(1);
  expect(flatBytes).toBeGreaterThan(0);
  expect(host.memory.buffer.byteLength).toBe(flatBytes);
  expect(host.sampled).toBe(REQUESTS);
  // Every record left: two of about 560 bytes for each sampled request.
  expect(host.sentBytes).toBeGreaterThan(host.sampled * 2 * 400);
}, 300_000);
