import { describe, expect, test } from "@jest/globals";
import { pluginConfiguration, startProxy, storedRecords } from "../support/mirrored-request.ts";
import { ProxyHost } from "../support/proxy-host.ts";

const ERROR = 4;

function refusal(configuration: unknown): string {
  const host = new ProxyHost();
  const { accepted } = host.configure(configuration);
  if (accepted) throw new Error(`accepted: ${JSON.stringify(configuration)}`);
  const errors = host.logs.filter((line) => line.level === ERROR);
  expect(errors).toHaveLength(1);
  return errors[0]?.message ?? "";
}

const good = pluginConfiguration("tagger");

describe("a wrong configuration is refused with a message that names the key", () => {
  test.each([
    ["role", { ...good, role: "guard" }],
    ["role", { ...good, role: undefined }],
    ["experiments", { ...good, experiments: [] }],
    ["experiments", { ...good, experiments: undefined }],
    ["nats.cluster", { ...good, nats: {} }],
    ["tickMs", { ...good, tickMs: "200" }],
    ["tickMs", { ...good, tickMs: 0 }],
    ["outboxBytes", { ...good, outboxBytes: 1 }],
    ["outboxBytes", { ...good, outboxBytes: 1e9 }],
    ["ledgerIntervalMs", { ...good, ledgerIntervalMs: -1 }],
    ["colour", { ...good, colour: "green" }],
    ["timeoutMs", pluginConfiguration("tagger", { nats: { timeoutMs: 0 } })],
    ["pasword", pluginConfiguration("tagger", { nats: { pasword: "x" } })],
    ["name", pluginConfiguration("tagger", { experiment: { name: "Fraud.1" } })],
    ["name", pluginConfiguration("tagger", { experiment: { name: "f".repeat(64) } })],
    ["run", pluginConfiguration("tagger", { experiment: { run: "" } })],
    ["sampleFraction", pluginConfiguration("tagger", { experiment: { sampleFraction: 1.5 } })],
    ["partitions", pluginConfiguration("tagger", { experiment: { partitions: 0 } })],
    ["partitions", pluginConfiguration("tagger", { experiment: { partitions: 257 } })],
    ["legs", pluginConfiguration("tagger", { experiment: { legs: {} } })],
    ["legs", pluginConfiguration("tagger", { experiment: { legs: { a: "shadow" } } })],
    ["segments", pluginConfiguration("tagger", { experiment: { segments: ["x-shadow-pair"] } })],
    ["pathPrefix", pluginConfiguration("tagger", { experiment: { match: { pathPrefix: "x" } } })],
    ["header", pluginConfiguration("tagger", { experiment: { match: { header: {} } } })],
  ])("%s", (key, configuration) => {
    expect(refusal(configuration)).toContain(key);
  });

  test.each([
    "",
    "{",
    "[]",
    "null",
    '{"role":"tagger"',
    '{"role":"tagger"}x',
    '{"role":"tagger",}',
    "\u0000",
  ])("text that is no such JSON: %j", (text) => {
    refusal(text);
  });

  test("every truncation of a good one", () => {
    const text = JSON.stringify(good);
    for (let length = 0; length < text.length; length += 7) refusal(text.slice(0, length));
  });

  test("without ever showing a secret", () => {
    const nats = { user: "us3r", password: "hunter2", token: "t0ken", extra: 1 };
    expect(refusal(pluginConfiguration("tagger", { nats }))).not.toMatch(/us3r|hunter2|t0ken/);
  });
});

test("a refused update leaves the old configuration at work", async () => {
  const host = new ProxyHost();
  const proxy = startProxy(host);
  expect(host.configure({ role: "tagger" }).accepted).toBe(false);
  expect(host.reconfigure(proxy.roots.tagger, '{"role":"tagger"}')).toBe(false);
  proxy.request({ shadows: { "fraud-shadow": {} } });
  await host.advanceMs(400);
  expect(storedRecords(host)).toHaveLength(2);
});

test("an update during a request lets that request end under the configuration it began with", async () => {
  const host = new ProxyHost();
  const old = startProxy(host);
  const filterState = new Map<string, Buffer>();
  const tagger = host.openStream(old.roots.tagger, { filterState });
  const headers: [string, string][] = [
    [":method", "GET"],
    [":path", "/score"],
    [":authority", "fraud.example"],
  ];
  host.requestHeaders(tagger, headers, true);
  const primary = host.openStream(old.roots.observer, { filterState });
  host.setProperty(primary, "xds.cluster_name", "fraud-primary");
  host.requestHeaders(primary, headers, true);
  startProxy(host, { experiment: { run: "1111aaaa2222" } });
  host.responseHeaders(primary, [[":status", "200"]], true);
  host.closeStream(primary, false);
  host.closeStream(tagger, true);
  host.endRoot(old.roots.tagger);
  host.endRoot(old.roots.observer);
  await host.advanceMs(1000);
  expect(storedRecords(host)).toMatchObject([{ run: "0f3a5c7e9b1d", leg: "primary", final: true }]);
});
