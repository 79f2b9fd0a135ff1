import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { startProxy, storedLedgers } from "../support/mirrored-request.ts";
import { ProxyHost } from "../support/proxy-host.ts";

/** The expressions stand in the comment on top of filter/counters.ts, which is what `render envoy` writes. */
function statsTags(): { name: string; regex: RegExp }[] {
  const source = readFileSync("filter/counters.ts", "utf8");
  return [...source.matchAll(/tag_name: (\w+)\s+\*\s+regex: '([^']+)'/g)].map(
    ([, name = "", regex = ""]) => ({
      name,
      regex: new RegExp(regex),
    }),
  );
}

/** What Envoy does: each expression on the whole name, its first group cut out, its second the label's value. */
function toPrometheus(name: string): string {
  const full = `wasmcustom.${name}`;
  const cuts: [number, number][] = [];
  const labels: string[] = [];
  for (const { name: label, regex } of statsTags()) {
    const match = regex.exec(full);
    if (match === null) continue;
    const [, cut = "", value = ""] = match;
    const at = match[0].length - cut.length + match.index;
    cuts.push([at, at + cut.length]);
    labels.push(`${label}="${value}"`);
  }
  const rest = [...full].filter(
    (_, index) => !cuts.some(([from, to]) => index >= from && index < to),
  );
  const base = rest
    .join("")
    .replace("wasmcustom.", "")
    .replaceAll(/[^a-zA-Z0-9_]/g, "_");
  return labels.length === 0 ? base : `${base}{${labels.join(",")}}`;
}

test("every metric becomes a Prometheus name with its labels, even of an experiment called like a label", () => {
  for (const experiment of ["fraud", "leg", "reason", "role-ending-total"]) {
    const host = new ProxyHost();
    startProxy(host, { experiment: { name: experiment } });
    const names = [...host.metrics.values()].map((metric) => toPrometheus(metric.name));
    for (const name of names)
      expect(name).toMatch(/^shadowgraph_[a-z_]+\{role="(tagger|observer|outbox)"/);
    expect(names).toContain(
      `shadowgraph_requests_seen_total{role="tagger",experiment="${experiment}"}`,
    );
    expect(names).toContain(
      `shadowgraph_requests_unsampled_total{role="tagger",experiment="${experiment}",reason="request-size"}`,
    );
    expect(names).toContain(
      `shadowgraph_leg_endings_total{role="observer",experiment="${experiment}",leg="shadow",ending="no-answer"}`,
    );
    expect(names).toContain(
      `shadowgraph_records_dropped_total{role="outbox",experiment="${experiment}",leg="control",reason="outbox-full"}`,
    );
    expect(names).toContain(
      'shadowgraph_nats_failures_total{role="outbox",cause="authentication"}',
    );
    expect(names).toContain('shadowgraph_outbox_bytes{role="outbox"}');
    expect(new Set(names).size).toBe(names.length);
  }
});

test("metrics are defined at configuration only, and once per name however often it is repeated", async () => {
  const host = new ProxyHost();
  let proxy = startProxy(host);
  const defined = host.callCounts.get("proxy_define_metric");
  for (let i = 0; i < 20; i++) {
    proxy.request({ shadows: { "fraud-shadow": {}, "fraud-control": {} } });
    const next = startProxy(host, { experiment: { run: `run-${i}` } });
    host.endRoot(proxy.roots.tagger);
    host.endRoot(proxy.roots.observer);
    proxy = next;
    await host.advanceMs(1000);
  }
  expect(host.callCounts.get("proxy_define_metric")).toBe(defined);
});

test("counting costs a request no host call, and a tick later Envoy's counters say what the ledger says", async () => {
  const host = new ProxyHost();
  const proxy = startProxy(host, { top: { ledgerIntervalMs: 1000 } });
  for (let i = 0; i < 20; i++) {
    proxy.request({
      shadows: { "fraud-shadow": i % 4 === 0 ? { resets: "before-headers" } : {} },
      primary: [{ status: 503 }, {}],
    });
  }
  proxy.request({ headers: [["content-length", "99999999"]], chunks: ["x"] });
  expect(host.callCounts.get("proxy_increment_metric")).toBeUndefined();
  await host.advanceMs(3000);
  const ledger = storedLedgers(host).at(-1);
  const tagger = "role.tagger.experiment.fraud";
  expect(host.metric(`shadowgraph_requests_seen.${tagger}.total`)).toBe(21);
  expect(host.metric(`shadowgraph_requests_sampled.${tagger}.total`)).toBe(20);
  expect(host.metric(`shadowgraph_requests_unsampled.${tagger}.reason.request-size.total`)).toBe(1);
  for (const leg of ledger?.legs ?? []) {
    const place = `experiment.fraud.leg.${leg.leg}`;
    expect(host.metric(`shadowgraph_leg_attempts.role.observer.${place}.total`)).toBe(leg.attempts);
    expect(host.metric(`shadowgraph_leg_requests.role.observer.${place}.total`)).toBe(leg.requests);
    expect(host.metric(`shadowgraph_records_published.role.outbox.${place}.total`)).toBe(
      leg.published,
    );
    for (const [ending, count] of Object.entries(leg.endings)) {
      expect(
        host.metric(`shadowgraph_leg_endings.role.observer.${place}.ending.${ending}.total`),
      ).toBe(count);
    }
  }
  expect(ledger?.legs[0]).toMatchObject({
    leg: "primary",
    requests: 20,
    attempts: 40,
    published: 40,
  });
  expect(host.metric("shadowgraph_outbox.role.outbox.bytes")).toBe(0);
});
