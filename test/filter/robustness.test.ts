import { describe, expect, test } from "@jest/globals";
import { type MirroringProxy, startProxy, storedRecords } from "../support/mirrored-request.ts";
import { answers, infoLine } from "../support/nats-wire.ts";
import { ENVOY_CALLBACKS, type Headers, ProxyHost, Result } from "../support/proxy-host.ts";
import { SeededRandom } from "../support/random.ts";

/** What a trap would be: the wasm engine throws. The proxy's own complaints throw too. */
function expectNoTrap(seed: number, what: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new Error(`seed ${seed}: ${what}`, { cause });
  }
}

describe("never a trap", () => {
  test("for callbacks in any order, with any arguments, on contexts known and unknown", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = new SeededRandom(seed);
      const host = new ProxyHost({ seed });
      const proxy = startProxy(host);
      const streams = [0, 0, 0, 0].map((_, index) =>
        host.openStream(index < 2 ? proxy.roots.tagger : proxy.roots.observer),
      );
      const ids = [0, 1, 2, ...streams, 77_777, -1, 0x7fffffff];
      const sizes = [0, 1, 2, 1000, -1, 0x7fffffff, -0x80000000];
      const names = Object.keys(ENVOY_CALLBACKS).filter(
        (name) => name !== "proxy_on_configure" && name !== "proxy_on_context_create",
      );
      for (let step = 0; step < 400; step++) {
        const name = random.pick(names);
        const parameters = (ENVOY_CALLBACKS[name] ?? 1) - 1;
        const args = [
          random.pick(ids),
          ...Array.from({ length: parameters }, () => random.pick(sizes)),
        ];
        expectNoTrap(seed, `${name}(${args.join(", ")})`, () => host.callRaw(name, ...args));
        if (random.below(20) === 0) host.advanceUs(random.below(500_000));
      }
    }
  });

  test("for lifecycles whose steps are left out, repeated and shuffled", async () => {
    for (let seed = 100; seed < 140; seed++) {
      const random = new SeededRandom(seed);
      const host = new ProxyHost({ seed });
      const proxy = startProxy(host);
      for (let request = 0; request < 10; request++) shuffledRequest(host, proxy, random);
      await host.advanceMs(1000);
      // A sane request afterwards is still served in full.
      const before = storedRecords(host).length;
      proxy.request({ shadows: { "fraud-shadow": {} } });
      await host.advanceMs(1000);
      expect({ seed, more: storedRecords(host).length - before }).toEqual({ seed, more: 2 });
    }
  });

  test("when the same context id is created twice, or a child comes before its root", () => {
    const host = new ProxyHost();
    const proxy = startProxy(host);
    const stream = host.openStream(proxy.roots.tagger);
    host.callRaw("proxy_on_context_create", stream, proxy.roots.tagger);
    host.callRaw("proxy_on_context_create", 9000, 8999);
    host.callRaw("proxy_on_request_headers", 9000, 0, 1);
    host.requestHeaders(stream, [[":method", "GET"]], true);
    host.closeStream(stream, true);
    host.callRaw("proxy_on_done", 9000);
    host.callRaw("proxy_on_delete", 9000);
  });

  const strange: [string, Headers][] = [
    ["no headers at all", []],
    [
      "empty names and values",
      [
        ["", ""],
        [":method", ""],
        [":path", ""],
        [":authority", ""],
      ],
    ],
    [
      "a path of 60,000 characters",
      [
        [":method", "GET"],
        [":path", `/${"a".repeat(60_000)}`],
      ],
    ],
    [
      "a query of 20,000 parameters",
      [
        [":method", "GET"],
        [":path", `/?${"a=1&".repeat(20_000)}`],
      ],
    ],
    ["5,000 headers", Array.from({ length: 5000 }, (_, i): [string, string] => [`x-${i}`, "y"])],
    [
      "a header of 200,000 bytes",
      [
        [":method", "GET"],
        [":path", "/"],
        ["x-a", "z".repeat(200_000)],
      ],
    ],
    [
      "more headers than the filter's room",
      [
        [":path", "/"],
        ["x-a", "z".repeat(400_000)],
      ],
    ],
    [
      "a method of 5,000 characters",
      [
        [":method", "M".repeat(5000)],
        [":path", "/"],
      ],
    ],
    [
      "control characters everywhere",
      [
        [":method", "\u0001\u0002"],
        [":path", '/\u0000"\\\u001f'],
        ["x-country", '"\\\u0003'],
      ],
    ],
    [
      "a path of slashes",
      [
        [":method", "GET"],
        [":path", "/".repeat(10_000)],
      ],
    ],
    [
      "numbers that are none",
      [
        [":method", "POST"],
        [":path", "/"],
        ["content-length", "9".repeat(400)],
      ],
    ],
    [
      "a segment of 10,000 characters",
      [
        [":method", "GET"],
        [":path", "/"],
        ["x-country", "東".repeat(10_000)],
      ],
    ],
  ];

  test.each(strange)("for %s", async (_name, headers) => {
    const host = new ProxyHost();
    const proxy = startProxy(host);
    proxy.request({ headers, shadows: { "fraud-shadow": { headers } } });
    proxy.request({ headers: [["x-shadow-pair", "1.fraud.".repeat(5000)], ...headers] });
    for (const root of [proxy.roots.tagger, proxy.roots.observer]) {
      const stream = host.openStream(root);
      host.requestHeaders(stream, [...headers], false);
      host.requestTrailers(stream, [...headers]);
      host.responseHeaders(stream, [...headers], false);
      host.responseTrailers(stream, [...headers]);
      host.closeStream(stream, false);
    }
    await host.advanceMs(400);
    for (const record of storedRecords(host)) {
      expect(Buffer.byteLength(JSON.stringify(record))).toBeLessThan(4096);
    }
  });

  test("for forged pair headers of every shape on every leg", () => {
    const random = new SeededRandom(5);
    const good = "1.fraud.01a2076b-4400-7a11-9c3d-5e6f70818293.c0ffee00112233445566778899aabbcc";
    const host = new ProxyHost();
    const proxy = startProxy(host);
    for (let i = 0; i < 3000; i++) {
      const bytes = [...good];
      for (let changes = random.below(4); changes >= 0; changes--) {
        const at = random.below(bytes.length);
        if (random.below(2) === 0) bytes.splice(at, 1 + random.below(5));
        else bytes[at] = String.fromCharCode(32 + random.below(95));
      }
      const stream = host.openStream(proxy.roots.observer);
      host.setProperty(
        stream,
        "xds.cluster_name",
        random.pick(["fraud-shadow", "fraud-primary", "x"]),
      );
      host.requestHeaders(
        stream,
        [
          [":path", "/"],
          ["x-shadow-pair", bytes.join("")],
        ],
        true,
      );
      host.closeStream(stream, false);
    }
  });

  test("for a body of 64 MiB in one chunk, and one of 100,000 empty ones", async () => {
    const host = new ProxyHost();
    const proxy = startProxy(host);
    const memoryBytes = host.memory.buffer.byteLength;
    proxy.request({
      shadows: { "fraud-shadow": { chunks: ["x".repeat(64 * 1024 * 1024)] } },
      primary: [{ chunks: Array.from({ length: 100_000 }, () => "") }],
    });
    await host.advanceMs(400);
    const [shadow, primary] = storedRecords(host);
    expect(shadow).toMatchObject({ responseBytes: 64 * 1024 * 1024, chunks: 1 });
    expect(primary).toMatchObject({ responseBytes: 0, chunks: 0 });
    expect(host.memory.buffer.byteLength).toBe(memoryBytes);
  }, 60_000);

  test("for answers of NATS that are garbage", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed);
      const host = new ProxyHost({ seed });
      const proxy = startProxy(host);
      const parts = [
        infoLine(),
        "PONG\r\n",
        "-ERR '",
        "'\r\n",
        "INFO {",
        "}",
        "\r",
        "\n",
        "\u0000",
        '"max_payload":',
        "99999999999999999999",
        "-1",
        "0",
        ",",
      ];
      host.nats.intercept = () =>
        answers.text(Array.from({ length: random.below(12) }, () => random.pick(parts)).join(""));
      proxy.request({ shadows: { "fraud-shadow": {} } });
      for (let i = 0; i < 10; i++) await host.advanceMs(500);
    }
  });
});

describe("every host call failing", () => {
  const results = [Result.notFound, Result.badArgument, Result.internalFailure];

  function play(host: ProxyHost): void {
    const proxy = startProxy(host);
    proxy.request({
      path: "/a/b?c=1",
      headers: [
        ["content-length", "2"],
        ["x-country", "DE"],
        ["idempotency-key", "k"],
      ],
      chunks: ["ab"],
      primary: [{ status: 503 }, { chunks: ["x"], headers: [["content-type", "text/plain"]] }],
      shadows: {
        "fraud-shadow": { chunks: ["x", "y"], trailers: [["grpc-status", "0"]] },
        "fraud-control": { resets: "after-headers", codeDetails: "reset" },
      },
    });
    for (let i = 0; i < 3; i++) {
      host.advanceUs(200_000);
      host.tick(proxy.roots.tagger);
      host.answerCalls();
    }
    host.endRoot(proxy.roots.tagger);
    host.endRoot(proxy.roots.observer);
    host.answerCalls();
  }

  test("one after another: the request goes on and nothing traps", () => {
    const whole = new ProxyHost();
    play(whole);
    const calls = whole.hostCallIndex;
    expect(calls).toBeGreaterThan(150);
    for (let failing = 0; failing < calls; failing++) {
      const result = results[failing % results.length] ?? Result.internalFailure;
      const host = new ProxyHost();
      // Refusing the configuration is allowed; trapping is not.
      host.failHostCall = (_name, index) => (index === failing ? result : null);
      try {
        play(host);
      } catch (error) {
        if (String(error).includes("refused:")) continue;
        throw new Error(`host call ${failing} failing with ${result}`, { cause: error });
      }
    }
  }, 120_000);

  test("all of one kind, for ever", () => {
    const whole = new ProxyHost();
    play(whole);
    for (const name of whole.callCounts.keys()) {
      for (const result of results) {
        const host = new ProxyHost();
        host.failHostCall = (called) => (called === name ? result : null);
        try {
          play(host);
        } catch (error) {
          if (String(error).includes("refused:")) continue;
          throw new Error(`${name} failing with ${result}`, { cause: error });
        }
      }
    }
  });

  test("at random, one in five, over many requests", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const host = new ProxyHost({ seed });
      const proxy = startProxy(host);
      host.failHostCall = () => (random.below(5) === 0 ? random.pick(results) : null);
      for (let i = 0; i < 50; i++) {
        expectNoTrap(seed, `request ${i}`, () => {
          proxy.request({ shadows: { "fraud-shadow": { chunks: ["x"] } }, chunks: ["y"] });
          host.advanceUs(50_000);
          host.tick(proxy.roots.observer);
          host.answerCalls();
        });
      }
    }
  });

  test("no randomness at all: nothing is sampled, since a key that can be guessed is worse than none", async () => {
    const host = new ProxyHost();
    host.failHostCall = (name) => (name === "random_get" ? 8 : null);
    const proxy = startProxy(host);
    expect(proxy.request({}).sampled).toBe(false);
    await host.advanceMs(10_000);
    expect(storedRecords(host)).toHaveLength(0);
  });
});

function shuffledRequest(host: ProxyHost, proxy: MirroringProxy, random: SeededRandom): void {
  const headers: Headers = [
    [":method", "POST"],
    [":path", "/score"],
    [":authority", "fraud.example"],
    ["content-length", "3"],
  ];
  const filterState = new Map<string, Buffer>();
  const tagger = host.openStream(proxy.roots.tagger, { filterState });
  if (random.below(8) > 0) host.requestHeaders(tagger, headers, false);
  const legs = [1, 2, 3].map((_, index) => {
    const stream = host.openStream(proxy.roots.observer, index === 0 ? { filterState } : {});
    host.setProperty(
      stream,
      "xds.cluster_name",
      random.pick(["fraud-primary", "fraud-shadow", "other"]),
    );
    return stream;
  });
  const steps = Array.from({ length: 25 }, () => random.below(6));
  for (const step of steps) {
    const stream = random.pick([tagger, ...legs]);
    const end = random.below(3) === 0;
    if (step === 0) host.requestHeaders(stream, headers, end);
    else if (step === 1) host.requestBody(stream, "abc", end);
    else if (step === 2) host.responseHeaders(stream, [[":status", "200"]], end);
    else if (step === 3) host.responseBody(stream, "def", end);
    else if (step === 4) host.responseTrailers(stream, [["grpc-status", "5"]]);
    else host.requestTrailers(stream, []);
  }
  const order = random.below(2) === 0 ? [tagger, ...legs] : [...legs, tagger];
  for (const stream of order) {
    // Some are deleted without being told that they are done.
    if (random.below(6) > 0) host.closeStream(stream, stream === tagger);
    else host.callRaw("proxy_on_delete", stream);
  }
}
