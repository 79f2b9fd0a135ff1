import { describe, expect, test } from "@jest/globals";
import { startProxy } from "../support/mirrored-request.ts";
import {
  ENVOY_CALLBACKS,
  ENVOY_FUNCTIONS,
  filterModule,
  ProxyHost,
} from "../support/proxy-host.ts";

/** Section ids of a wasm module. */
const TYPE_SECTION = 1;
const IMPORT_SECTION = 2;
const FUNCTION_SECTION = 3;
const EXPORT_SECTION = 7;
const START_SECTION = 8;

interface Signatures {
  readonly imports: ReadonlyMap<string, number>;
  readonly exports: ReadonlyMap<string, number>;
  readonly hasStart: boolean;
}

/** Just enough of the binary format to count the parameters of what is imported and exported. */
function readSignatures(bytes: Buffer): Signatures {
  let at = 8;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
  };
  const name = (): string => {
    const length = number();
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  const parameters: number[] = [];
  const functionTypes: number[] = [];
  const imports = new Map<string, number>();
  const exports = new Map<string, number>();
  let hasStart = false;
  while (at < bytes.length) {
    const section = bytes[at++] ?? 0;
    const end = number() + at;
    if (section === START_SECTION) hasStart = true;
    if (section === TYPE_SECTION) {
      for (let left = number(); left > 0; left--) {
        at++;
        const count = number();
        at += count;
        const results = number();
        at += results;
        parameters.push(count);
      }
    } else if (section === IMPORT_SECTION) {
      for (let left = number(); left > 0; left--) {
        const module = name();
        const field = name();
        if (bytes[at++] !== 0) throw new Error(`${module}.${field} is not a function`);
        const type = number();
        functionTypes.push(type);
        imports.set(`${module}.${field}`, parameters[type] ?? -1);
      }
    } else if (section === FUNCTION_SECTION) {
      for (let left = number(); left > 0; left--) functionTypes.push(number());
    } else if (section === EXPORT_SECTION) {
      for (let left = number(); left > 0; left--) {
        const field = name();
        const kind = bytes[at++];
        const index = number();
        if (kind === 0) exports.set(field, parameters[functionTypes[index] ?? -1] ?? -1);
      }
    }
    at = end;
  }
  return { imports, exports, hasStart };
}

/** System calls that Envoy provides, as far as we want any. */
const SYSTEM_FUNCTIONS: Readonly<Record<string, number>> = { clock_time_get: 3, random_get: 2 };

describe("the built module", () => {
  const module = filterModule();
  const { readFileSync } = process.getBuiltinModule("node:fs");
  const signatures = readSignatures(readFileSync("build/shadowgraph.wasm"));

  test("imports only functions that Envoy has, each with the number of parameters that Envoy expects", () => {
    expect(signatures.imports.size).toBeGreaterThan(0);
    for (const [name, parameters] of signatures.imports) {
      const [from, field = ""] = name.split(".");
      const known = from === "env" ? ENVOY_FUNCTIONS : SYSTEM_FUNCTIONS;
      expect({ name, parameters }).toEqual({ name, parameters: known[field] });
      expect(["env", "wasi_snapshot_preview1"]).toContain(from);
    }
  });

  test("exports every callback with the number of parameters that Envoy expects, under ABI 0.2.1", () => {
    expect([...signatures.exports.keys()].filter((name) => name.startsWith("proxy_abi"))).toEqual([
      "proxy_abi_version_0_2_1",
    ]);
    for (const [name, parameters] of signatures.exports) {
      if (!name.startsWith("proxy_on_") || name === "proxy_on_memory_allocate") continue;
      expect({ name, parameters }).toEqual({ name, parameters: ENVOY_CALLBACKS[name] });
    }
    expect(signatures.exports.get("malloc")).toBe(1);
    for (const name of [
      "proxy_on_configure",
      "proxy_on_context_create",
      "proxy_on_request_headers",
      "proxy_on_request_body",
      "proxy_on_response_headers",
      "proxy_on_response_body",
      "proxy_on_response_trailers",
      "proxy_on_tick",
      "proxy_on_http_call_response",
      "proxy_on_done",
      "proxy_on_delete",
    ]) {
      expect([...signatures.exports.keys()]).toContain(name);
    }
  });

  test("has no start section: Envoy would run it before there is a context", () => {
    expect(signatures.hasStart).toBe(false);
    expect(signatures.exports.get("_initialize")).toBe(0);
  });

  test("gives Envoy its memory and takes none from it, at most 64 MiB", () => {
    expect(WebAssembly.Module.exports(module)).toContainEqual({ name: "memory", kind: "memory" });
    expect(WebAssembly.Module.imports(module).filter(({ kind }) => kind !== "function")).toEqual(
      [],
    );
    const host = new ProxyHost();
    expect(() => host.memory.grow(1025)).toThrow(RangeError);
  });

  test("asks for nothing but log, clock and randomness while the VM starts", () => {
    // The scripted proxy throws for anything else.
    expect(() => new ProxyHost()).not.toThrow();
  });

  test("ticks on every root once it is configured", () => {
    const host = new ProxyHost();
    const { roots } = startProxy(host);
    expect(host.callCounts.get("proxy_set_tick_period_milliseconds")).toBe(2);
    expect(roots.tagger).not.toBe(roots.observer);
  });
});
