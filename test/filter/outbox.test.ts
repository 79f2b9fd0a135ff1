import { describe, expect, test } from "@jest/globals";
import {
  type MirroringProxy,
  pluginConfiguration,
  startProxy,
  storedLedgers,
  storedRecords,
} from "../support/mirrored-request.ts";
import {
  answers,
  infoLine,
  NO_ENDPOINT,
  parseCall,
  UNKNOWN_CLUSTER,
} from "../support/nats-wire.ts";
import { type HttpCall, ProxyHost } from "../support/proxy-host.ts";
import { SeededRandom } from "../support/random.ts";

const WARNING = 3;

interface Setup {
  readonly host: ProxyHost;
  readonly proxy: MirroringProxy;
}

function setUp(changes: Parameters<typeof startProxy>[1] = {}, seed = 1): Setup {
  const host = new ProxyHost({ seed });
  return { host, proxy: startProxy(host, changes) };
}

/** One sampled request with a shadow: two records. */
function send(proxy: MirroringProxy, count = 1): void {
  for (let i = 0; i < count; i++) proxy.request({ shadows: { "fraud-shadow": {} } });
}

/** The next call that was not there before; ticks until it comes. */
function nextCall({ host, proxy }: Setup, withinMs = 30_000): HttpCall {
  const before = host.calls.length;
  for (let ms = 0; ms < withinMs && host.calls.length === before; ms += 100) {
    host.advanceUs(100_000);
    host.tick(proxy.roots.tagger);
  }
  if (host.calls.length === before) throw new Error(`no call within ${withinMs} ms`);
  return host.lastCall;
}

function isProbe(call: HttpCall): boolean {
  return parseCall(call.body).messages.length === 0;
}

function rawMessages(call: HttpCall): string[] {
  return parseCall(call.body).messages.map((message) => message.raw);
}

function warnings(host: ProxyHost): string[] {
  return host.logs.filter((line) => line.level >= WARNING).map((line) => line.message);
}

const PONG = answers.text(`${infoLine()}PONG\r\n`);

describe("publishing", () => {
  test("records of one request leave on the next tick, in one message of their partition", async () => {
    const { host, proxy } = setUp();
    await host.advanceMs(200);
    send(proxy);
    await host.advanceMs(200);
    expect(host.nats.stored).toHaveLength(1);
    const [message] = host.nats.stored;
    const header = JSON.parse(message?.payload.split("\n")[0] ?? "") as Record<string, unknown>;
    expect(header).toMatchObject({ type: "batch", experiment: "fraud", number: 1, records: 2 });
    expect(message?.subject).toBe(`shadow.v1.fraud.${String(header["partition"])}`);
    expect(message?.headers.get("Nats-Msg-Id")).toBe(
      `${String(header["worker"])}:fraud:${String(header["partition"])}:1`,
    );
  });

  test("the call goes to the configured cluster with its time limit", async () => {
    const { host } = setUp({ nats: { cluster: "other_nats", timeoutMs: 750 } });
    await host.advanceMs(200);
    expect(host.lastCall.cluster).toBe("other_nats");
    expect(host.lastCall.timeoutMs).toBe(750);
    expect(host.lastCall.headers.get(":method")).toBe("POST");
  });

  test("a probe comes first, is short enough for NATS to answer its refusals, and says who we are", async () => {
    const { host } = setUp();
    await host.advanceMs(200);
    const [first] = host.calls;
    if (first === undefined) throw new Error("no call");
    expect(isProbe(first)).toBe(true);
    expect(first.body.length).toBeLessThanOrEqual(512);
    expect(parseCall(first.body).connect).toMatchObject({
      verbose: false,
      pedantic: false,
      tls_required: false,
      headers: true,
      lang: "assemblyscript",
    });
    expect(parseCall(first.body).connect["name"]).toMatch(/^shadowgraph [0-9a-f]{16}$/);
  });

  test("user, password and token reach NATS whatever characters they hold", async () => {
    const nats = { user: 'sh"ad\\ow', password: "p\u0001ß\n", token: "t\t東" };
    const { host } = setUp({ nats });
    await host.advanceMs(200);
    expect(parseCall(host.lastCall.body).connect).toMatchObject({
      user: nats.user,
      pass: nats.password,
      auth_token: nats.token,
    });
  });

  test("numbers of an experiment and partition count up without gaps, ids never repeat", async () => {
    const { host, proxy } = setUp();
    for (let i = 0; i < 100; i++) {
      send(proxy, 3);
      await host.advanceMs(200);
    }
    const numbers = new Map<string, number[]>();
    for (const message of host.nats.stored) {
      if (message.subject.endsWith(".ledger")) continue;
      const header = JSON.parse(message.payload.split("\n")[0] ?? "") as { number: number };
      numbers.set(message.subject, [...(numbers.get(message.subject) ?? []), header.number]);
    }
    expect(numbers.size).toBe(16);
    for (const row of numbers.values()) expect(row).toEqual(row.map((_, index) => index + 1));
    expect(storedRecords(host)).toHaveLength(600);
  });

  test("only one call is under way at a time, however many ticks and records come", () => {
    const setup = setUp();
    const { host, proxy } = setup;
    for (let i = 0; i < 5; i++) {
      send(proxy, 10);
      host.advanceUs(200_000);
      host.tick(proxy.roots.tagger);
      host.tick(proxy.roots.observer);
      expect(host.pendingCalls.size).toBe(1);
    }
    expect(host.calls).toHaveLength(1);
  });

  test("ticks of both roots make one round of work per interval", async () => {
    const { host } = setUp();
    host.nats.intercept = () => PONG;
    await host.advanceMs(60_000);
    // Every root ticks 300 times; without traffic nothing but the first probe is sent.
    expect(host.calls).toHaveLength(1);
  });

  test("an outbox that is half full does not wait for the tick", async () => {
    const { host, proxy } = setUp({ top: { outboxBytes: 262144 } });
    await host.advanceMs(200);
    const before = host.calls.length;
    send(proxy, 200);
    expect(host.calls.length).toBe(before + 1);
    host.answerCalls();
    expect(storedRecords(host).length).toBeGreaterThan(200);
  });

  test("no message is longer than 512 KiB and no call longer than about 1 MiB", async () => {
    const { host, proxy } = setUp({ experiment: { partitions: 2 } });
    host.refuseCalls = NO_ENDPOINT;
    send(proxy, 3000);
    host.refuseCalls = null;
    await host.advanceMs(20_000);
    expect(storedRecords(host)).toHaveLength(6000);
    for (const call of host.calls) {
      expect(call.body.length).toBeLessThan(1_100_000);
      for (const message of parseCall(call.body).messages) {
        expect(Buffer.byteLength(message.payload)).toBeLessThanOrEqual(524_288);
      }
    }
    expect(Math.max(...host.calls.map((call) => call.body.length))).toBeGreaterThan(900_000);
  });
});

describe("when NATS does not take it", () => {
  test.each([
    ["a closed port", answers.closedPort],
    ["a reset or a time limit", answers.reset],
    ["INFO and then a clean end", answers.text(infoLine())],
    [
      "an error before PONG",
      answers.text(`${infoLine()}-ERR 'Unknown Protocol Operation'\r\nPONG\r\n`),
    ],
    ["an error after PONG", answers.text(`${infoLine()}PONG\r\n-ERR 'Slow Consumer'\r\n`)],
    ["half a PONG", answers.text(`${infoLine()}PONG`)],
    ["PONG inside of INFO only", answers.text(infoLine({ server_name: "PONG\\r\\n" }))],
    ["another line that begins like PONG", answers.text(`${infoLine()}PONGO\r\n`)],
    ["PONG with status 503", { headers: [[":status", "503"]] as const, body: "PONG\r\n" }],
    ["an empty answer", answers.text("")],
    ["an endless line", answers.text("x".repeat(3_000_000))],
  ])("%s: the same messages are sent again until PONG, then stored once", (_name, answer) => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy, 5);
    const first = nextCall(setup);
    const messages = rawMessages(first);
    expect(messages.length).toBeGreaterThan(0);
    // They may have been stored although no PONG came.
    for (const message of parseCall(first.body).messages) host.nats.store(message);
    host.answer(first, answer);
    for (let repeats = 0; repeats < 4; repeats++) {
      const call = host.pendingCalls.size > 0 ? host.lastCall : nextCall(setup);
      if (isProbe(call)) {
        host.answer(call, PONG);
      } else {
        expect(rawMessages(call)).toEqual(messages);
        host.answer(call, answer);
      }
      send(proxy);
    }
    for (const message of parseCall(first.body).messages) host.nats.store(message);
    for (let calls = 0; calls < 20 && storedRecords(host).length < 18; calls++) {
      const call = host.pendingCalls.size > 0 ? host.lastCall : nextCall(setup);
      host.answer(call, host.nats.answer(call.body));
    }
    expect(storedRecords(host)).toHaveLength(18);
  });

  test("repeats come ever later, with jitter, and never more than 10 s apart", () => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy);
    const times: number[] = [];
    for (let i = 0; i < 14; i++) {
      const call = nextCall(setup);
      times.push(host.monotonicUs);
      host.answer(call, answers.closedPort);
    }
    const gapsMs = times.slice(1).map((time, index) => (time - (times[index] ?? 0)) / 1000);
    expect(gapsMs[0]).toBeLessThanOrEqual(400);
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(10_100);
    expect(gapsMs.slice(-5).every((gap) => gap >= 5000)).toBe(true);
    expect(new Set(gapsMs.slice(-6)).size).toBeGreaterThan(2);
  });

  test("a wrong password is told from a network that is down, once each, and the end of it once", async () => {
    const { host, proxy } = setUp({ nats: { user: "shadow", password: "old" } });
    host.nats.password = "new";
    send(proxy, 20);
    await host.advanceMs(60_000);
    expect(warnings(host)).toEqual([expect.stringContaining("(authentication)")]);
    expect(warnings(host)[0]).toContain("Authorization Violation");
    host.nats.intercept = () => answers.closedPort;
    await host.advanceMs(60_000);
    expect(warnings(host)).toHaveLength(2);
    expect(warnings(host)[1]).toContain("(network)");
    host.nats.intercept = null;
    host.nats.password = "old";
    await host.advanceMs(20_000);
    expect(warnings(host)).toHaveLength(3);
    expect(warnings(host)[2]).toContain("takes records again");
    expect(storedRecords(host)).toHaveLength(40);
    expect(
      host.metric("shadowgraph_nats_failures.role.outbox.cause.authentication.total"),
    ).toBeGreaterThan(3);
    expect(
      host.metric("shadowgraph_nats_failures.role.outbox.cause.network.total"),
    ).toBeGreaterThan(3);
  });

  test("a password that changes under load shows as authentication although the batch's error is lost", async () => {
    const { host, proxy } = setUp({ nats: { user: "shadow", password: "old" } });
    host.nats.password = "old";
    send(proxy);
    await host.advanceMs(400);
    expect(storedRecords(host)).toHaveLength(2);
    host.nats.password = "new";
    send(proxy, 20);
    await host.advanceMs(400);
    expect(warnings(host)).toEqual([expect.stringContaining("(authentication)")]);
    for (const role of ["tagger", "observer"] as const) {
      const nats = { user: "shadow", password: "new" };
      expect(host.configure(pluginConfiguration(role, { nats })).accepted).toBe(true);
    }
    await host.advanceMs(400);
    expect(storedRecords(host)).toHaveLength(42);
    expect(warnings(host)[1]).toContain("takes records again");
  });

  test("a batch that gets no answer while probes do is said once", async () => {
    const { host, proxy } = setUp();
    host.nats.intercept = (call) => (call.messages.length > 0 ? answers.reset : null);
    send(proxy);
    await host.advanceMs(60_000);
    expect(warnings(host)).toEqual([expect.stringContaining("(no-answer)")]);
    host.nats.intercept = null;
    await host.advanceMs(20_000);
    expect(storedRecords(host)).toHaveLength(2);
    expect(warnings(host)).toHaveLength(2);
  });

  test.each([
    ["missing-cluster", UNKNOWN_CLUSTER],
    ["no-endpoint", NO_ENDPOINT],
  ])("a call that Envoy refuses is %s, logged once, and ends by itself", async (cause, refused) => {
    const { host, proxy } = setUp();
    host.refuseCalls = refused;
    send(proxy);
    await host.advanceMs(60_000);
    expect(host.calls).toHaveLength(0);
    expect(warnings(host)).toEqual([expect.stringContaining(`(${cause})`)]);
    host.refuseCalls = null;
    await host.advanceMs(20_000);
    expect(storedRecords(host)).toHaveLength(2);
    expect(warnings(host)).toHaveLength(2);
  });

  test("a subject that may not be written to is a failure of permissions, even of an experiment called so", async () => {
    const { host, proxy } = setUp({ experiment: { name: "authorization" } });
    host.nats.deniedSubjects = /^shadow\.v1\.authorization/;
    send(proxy);
    await host.advanceMs(20_000);
    expect(warnings(host)).toEqual([expect.stringContaining("(permissions)")]);
    expect(host.nats.stored).toHaveLength(0);
    host.nats.deniedSubjects = null;
    await host.advanceMs(20_000);
    expect(storedRecords(host)).toHaveLength(2);
  });

  test("a server that wants TLS or has headers switched off is named as the reason", async () => {
    for (const [changes, words] of [
      [{ tls_required: true }, "requires TLS"],
      [{ headers: false }, "headers switched off"],
    ] as const) {
      const { host } = setUp();
      host.nats.intercept = () => answers.text(infoLine(changes));
      await host.advanceMs(1000);
      expect(warnings(host)).toEqual([expect.stringContaining(words)]);
    }
  });

  test("secrets are in no log line", async () => {
    const { host, proxy } = setUp({ nats: { user: "u5er", password: "hunter2", token: "t0ken" } });
    host.nats.password = "other";
    send(proxy, 20);
    await host.advanceMs(5000);
    host.nats.intercept = () => answers.closedPort;
    await host.advanceMs(5000);
    expect(host.logs.map((line) => line.message).join("\n")).not.toMatch(/hunter2|t0ken|u5er/);
  });
});

describe("NATS' max_payload", () => {
  test("is respected from the first batch on, as INFO tells it", async () => {
    const { host, proxy } = setUp({ experiment: { partitions: 1 } });
    host.nats.payloadMax = 20_000;
    send(proxy, 200);
    await host.advanceMs(10_000);
    expect(storedRecords(host)).toHaveLength(400);
    expect(host.nats.stored.every((message) => message.bytes <= 20_000)).toBe(true);
    expect(warnings(host)).toEqual([]);
  });

  test("that shrinks has batches built again in smaller pieces; those that fit keep their bytes", async () => {
    const setup = setUp({ experiment: { partitions: 2 }, top: { ledgerIntervalMs: 3_600_000 } });
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    // Uneven: one partition above the coming limit, the other below.
    for (let i = 0; i < 400; i++) send(proxy);
    const first = nextCall(setup);
    const sizes = parseCall(first.body).messages.map((message) => message.bytes);
    expect(sizes).toHaveLength(2);
    const limit = Math.max(...sizes) - 1;
    host.nats.payloadMax = limit;
    host.answer(first, answers.reset);
    host.answerCalls();
    await host.advanceMs(3000);
    const ids = host.nats.stored.map((message) => message.headers.get("Nats-Msg-Id") ?? "");
    expect(ids.filter((id) => id.endsWith(":1:r1"))).toHaveLength(1);
    expect(ids.filter((id) => id.endsWith(":1"))).toHaveLength(1);
    const small = parseCall(first.body).messages.find((message) => message.bytes <= limit);
    expect(host.nats.stored.map((message) => message.raw)).toContain(small?.raw);
    expect(storedRecords(host)).toHaveLength(800);
    const numbers = host.nats.stored
      .map((message) => JSON.parse(message.payload.split("\n")[0] ?? "") as Record<string, number>)
      .map((header) => `${header["partition"]}:${header["number"]}`);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test("below a single record drops that record as too large, and the others go on", async () => {
    const setup = setUp({ experiment: { partitions: 1 }, top: { ledgerIntervalMs: 1000 } });
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    const long = `/${Array.from({ length: 12 }, () => "a-long-word").join("/")}`;
    proxy.request({ path: long, shadows: { "fraud-shadow": {} } });
    const first = nextCall(setup);
    host.nats.payloadMax = 1000;
    host.answer(first, answers.reset);
    host.answerCalls();
    send(proxy);
    await host.advanceMs(3000);
    expect(storedRecords(host).map((record) => record["route"])).toEqual(["/score", "/score"]);
    host.nats.payloadMax = 1_048_576;
    send(proxy);
    await host.advanceMs(8000);
    const ledger = storedLedgers(host).at(-1);
    for (const leg of ledger?.legs ?? []) {
      if (leg.leg === "control") continue;
      expect(leg.dropped["too-large"]).toBe(1);
      expect(leg.published).toBe(2);
    }
    expect(ledger?.batches.failed).toBe(1);
  });
});

describe("bounds and accounting", () => {
  test("a full outbox drops the newest, counts it, and the tagger stops sampling before that", async () => {
    const { host, proxy } = setUp({ top: { outboxBytes: 262144, ledgerIntervalMs: 1000 } });
    host.nats.intercept = () => answers.closedPort;
    const memoryBytes = host.memory.buffer.byteLength;
    for (let i = 0; i < 40; i++) {
      send(proxy, 50);
      await host.advanceMs(200);
    }
    // Legs whose tagger is in another worker come whatever our tagger does.
    for (let i = 0; i < 500; i++) observeAlone(host, proxy, i);
    host.nats.intercept = null;
    await host.advanceMs(30_000);
    const ledger = storedLedgers(host).at(-1);
    expect(ledger?.requests.unsampled["outbox-full"]).toBeGreaterThan(500);
    const dropped = ledger?.legs.reduce((sum, leg) => sum + (leg.dropped["outbox-full"] ?? 0), 0);
    expect(dropped).toBeGreaterThan(100);
    expectBalanced(host);
    expect(host.memory.buffer.byteLength).toBe(memoryBytes);
    const shadow = "role.outbox.experiment.fraud.leg.shadow";
    expect(host.metric(`shadowgraph_records_dropped.${shadow}.reason.outbox-full.total`)).toBe(
      dropped,
    );
  });

  test("ended attempts = published + dropped + waiting, through any weather", async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const random = new SeededRandom(seed);
      const { host, proxy } = setUp(
        { experiment: { partitions: 3 }, top: { outboxBytes: 262144, ledgerIntervalMs: 700 } },
        seed,
      );
      for (let step = 0; step < 60; step++) {
        host.nats.payloadMax = random.pick([1_048_576, 1_048_576, 30_000, 3000]);
        const weather = random.below(6);
        host.refuseCalls = weather === 0 ? NO_ENDPOINT : null;
        host.nats.intercept = (call) => {
          if (weather === 1) return answers.closedPort;
          if (weather === 2) return answers.reset;
          if (weather === 3) {
            // Stored as far as NATS takes it, but the answer is lost on the way.
            for (const message of call.messages) {
              if (message.bytes > host.nats.payloadMax) break;
              host.nats.store(message);
            }
            return answers.reset;
          }
          return null;
        };
        send(proxy, random.below(60));
        proxy.request({ shadows: { "fraud-shadow": { resets: "before-headers" } } });
        await host.advanceMs(random.below(900));
      }
      host.refuseCalls = null;
      host.nats.intercept = null;
      host.nats.payloadMax = 1_048_576;
      await host.advanceMs(40_000);
      expectBalanced(host, seed);
      const published = storedLedgers(host)
        .at(-1)
        ?.legs.reduce((sum, leg) => sum + leg.published, 0);
      expect({ seed, records: storedRecords(host).length }).toEqual({ seed, records: published });
    }
  });

  test("the ledger counts batches sent, repeated and given up", async () => {
    const setup = setUp({ top: { ledgerIntervalMs: 2000 }, experiment: { partitions: 1 } });
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy);
    host.answer(nextCall(setup), answers.closedPort);
    host.answer(nextCall(setup), PONG);
    await host.advanceMs(10_000);
    expect(storedLedgers(host).at(-1)?.batches).toEqual({ sent: 1, retried: 1, failed: 0 });
  });

  test("a worker without a request publishes no ledger", async () => {
    const { host } = setUp();
    await host.advanceMs(60_000);
    expect(host.nats.stored).toHaveLength(0);
  });

  test("ledgers come once per interval and count up; their ids never repeat", async () => {
    const { host, proxy } = setUp();
    send(proxy);
    await host.advanceMs(60_000);
    const numbers = storedLedgers(host).map((ledger) => ledger.number);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(numbers.length).toBeGreaterThanOrEqual(11);
    expect(numbers.length).toBeLessThanOrEqual(12);
  });
});

/** A mirrored leg whose request was tagged elsewhere. */
function observeAlone(host: ProxyHost, proxy: MirroringProxy, index: number): void {
  const id = `01a2076b-4400-7a11-9c3d-${index.toString(16).padStart(12, "0")}`;
  const stream = host.openStream(proxy.roots.observer);
  host.setProperty(stream, "xds.cluster_name", "fraud-shadow");
  const key = index.toString(16).padStart(32, "7");
  host.requestHeaders(
    stream,
    [
      [":method", "GET"],
      [":path", "/score"],
      ["x-shadow-pair", `1.fraud.${id}.${key}`],
    ],
    true,
  );
  host.responseHeaders(stream, [[":status", "200"]], true);
  host.closeStream(stream, false);
}

function expectBalanced(host: ProxyHost, seed = 0): void {
  for (const leg of storedLedgers(host).at(-1)?.legs ?? []) {
    const ended = Object.values(leg.endings).reduce((sum, count) => sum + count, 0);
    const dropped = Object.values(leg.dropped).reduce((sum, count) => sum + count, 0);
    expect({ seed, leg: leg.leg, accounted: leg.published + dropped }).toEqual({
      seed,
      leg: leg.leg,
      accounted: ended,
    });
    expect(ended).toBe(leg.attempts);
  }
}

describe("roots that come and go", () => {
  test("a call that is lost with its root is made again by another, same bytes", async () => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy);
    const call = nextCall(setup);
    expect(call.rootId).toBe(proxy.roots.tagger);
    host.deleteRoot(proxy.roots.tagger);
    host.advanceUs(200_000);
    host.tick(proxy.roots.observer);
    expect(host.lastCall.rootId).toBe(proxy.roots.observer);
    expect(host.lastCall.body.equals(call.body)).toBe(true);
    host.answerCalls();
    expect(storedRecords(host)).toHaveLength(2);
  });

  test("a root that leaves waits for its call's answer, with others alive for nothing else", async () => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy);
    const call = nextCall(setup);
    expect(host.endRoot(proxy.roots.observer)).toBe(true);
    expect(host.endRoot(call.rootId)).toBe(false);
    expect(host.isRootAlive(call.rootId)).toBe(true);
    host.answerCalls();
    expect(storedRecords(host)).toHaveLength(2);
    await host.advanceMs(600);
    expect(host.isRootAlive(call.rootId)).toBe(false);
  });

  test("the last root sends what waits and the closing ledger before it goes", async () => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy, 3);
    expect(host.endRoot(proxy.roots.tagger)).toBe(true);
    expect(host.endRoot(proxy.roots.observer)).toBe(false);
    await host.advanceMs(1000);
    expect(host.isRootAlive(proxy.roots.observer)).toBe(false);
    expect(storedRecords(host)).toHaveLength(6);
    expect(storedLedgers(host).at(-1)).toMatchObject({ final: true });
    expectBalanced(host);
    expect(storedLedgers(host).filter((ledger) => ledger.final)).toHaveLength(1);
  });

  test("the last root's goodbye ends with the first call that fails", () => {
    const setup = setUp();
    const { host, proxy } = setup;
    host.answer(nextCall(setup), PONG);
    send(proxy, 3);
    host.endRoot(proxy.roots.tagger);
    expect(host.endRoot(proxy.roots.observer)).toBe(false);
    host.answer(host.lastCall, answers.reset);
    expect(host.isRootAlive(proxy.roots.observer)).toBe(false);
    expect(host.pendingCalls.size).toBe(0);
  });

  test("a new configuration takes over: the old run closes with a final ledger, records of both arrive", async () => {
    const { host, proxy } = setUp();
    send(proxy, 5);
    await host.advanceMs(400);
    send(proxy, 5);
    const next = startProxy(host, { experiment: { run: "1111aaaa2222" } });
    send(next, 5);
    host.endRoot(proxy.roots.tagger);
    host.endRoot(proxy.roots.observer);
    await host.advanceMs(10_000);
    expect(storedRecords(host)).toHaveLength(30);
    const finals = storedLedgers(host).filter((ledger) => ledger.final);
    expect(finals.map((ledger) => ledger.run)).toEqual(["0f3a5c7e9b1d"]);
    const [final] = finals;
    expect(final?.legs.find((leg) => leg.leg === "primary")?.published).toBe(10);
    const newest = storedLedgers(host).filter((ledger) => ledger.run === "1111aaaa2222");
    expect(newest.at(-1)).toMatchObject({ final: false, requests: { seen: 5, sampled: 5 } });
  });

  test("a run that comes back goes on counting where it stopped", async () => {
    const { host, proxy } = setUp();
    send(proxy, 2);
    const between = startProxy(host, { experiment: { run: "1111aaaa2222" } });
    host.endRoot(proxy.roots.tagger);
    host.endRoot(proxy.roots.observer);
    await host.advanceMs(1000);
    const again = startProxy(host);
    host.endRoot(between.roots.tagger);
    host.endRoot(between.roots.observer);
    send(again, 3);
    await host.advanceMs(10_000);
    const rows = storedLedgers(host).filter((ledger) => ledger.run === "0f3a5c7e9b1d");
    expect(rows.at(-1)).toMatchObject({ final: false, requests: { seen: 5 } });
    const numbers = rows.map((ledger) => ledger.number);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  test("hundreds of configurations, one after another, cost no memory and lose no count", async () => {
    const host = new ProxyHost({ seed: 7 });
    let proxy = startProxy(host);
    let memoryBytes = 0;
    for (let i = 0; i < 300; i++) {
      send(proxy);
      const next = startProxy(host, { experiment: { name: `exp-${i % 90}`, run: `run-${i}` } });
      host.endRoot(proxy.roots.tagger);
      host.endRoot(proxy.roots.observer);
      await host.advanceMs(400);
      proxy = next;
      if (i === 100) memoryBytes = host.memory.buffer.byteLength;
    }
    await host.advanceMs(1000);
    expect(host.memory.buffer.byteLength).toBe(memoryBytes);
    expect(storedRecords(host)).toHaveLength(600);
    expect(storedLedgers(host).filter((ledger) => ledger.final)).toHaveLength(300);
    expect(host.nats.calls.length).toBeGreaterThan(300);
  });

  test("an outbox that is configured larger keeps what waits", async () => {
    const { host, proxy } = setUp({ top: { outboxBytes: 262144 } });
    host.refuseCalls = NO_ENDPOINT;
    send(proxy, 100);
    startProxy(host, { top: { outboxBytes: 8388608 } });
    host.refuseCalls = null;
    await host.advanceMs(20_000);
    expect(storedRecords(host)).toHaveLength(200);
  });
});
