import { describe, expect, test } from "@jest/globals";
import { startLoad } from "../../scripts/demo/load.ts";
import { answerTo, bodyDiffers, plantedIn } from "../../scripts/demo/scoring.ts";
import { startService } from "../../scripts/demo/service.ts";
import { type DemoRequest, requestAt } from "../../scripts/demo/traffic.ts";

const MANY = Array.from({ length: 10_000 }, (_, index) => requestAt(index));
const share = (of: (request: DemoRequest) => boolean): number =>
  MANY.filter(of).length / MANY.length;

describe("the demo's traffic", () => {
  test("is the same every time, and another with another seed", () => {
    expect(requestAt(7)).toEqual(requestAt(7));
    expect(requestAt(7, "other")).not.toEqual(requestAt(7));
  });

  test("has several routes, countries and sizes, in realistic shares", () => {
    expect(share(({ path }) => path === "/v1/score")).toBeCloseTo(0.6, 1);
    expect(share(({ method }) => method === "GET")).toBeCloseTo(0.3, 1);
    expect(share(({ country }) => country === "IN")).toBeCloseTo(0.2, 1);
    const sizes = MANY.map(({ body }) => body.length);
    expect(Math.max(...sizes)).toBeGreaterThan(8_000);
    expect(Math.max(...sizes)).toBeLessThan(65_536);
  });

  test("repeats no id, so that each request is its own", () => {
    const posts = MANY.filter(({ method }) => method === "POST").map(({ body }) => body);
    expect(new Set(posts).size).toBeGreaterThan(posts.length * 0.999);
  });
});

describe("what is planted in v2", () => {
  test("is what its answers show, request by request, and nothing else", () => {
    for (const request of MANY.slice(0, 2000)) {
      const v1 = answerTo(request, "v1");
      const v2 = answerTo(request, "v2");
      const planted = plantedIn(request);
      expect(v1.status).toBeLessThan(300);
      expect(v2.status === 500).toBe(planted.error);
      if (planted.error) continue;
      expect(v2.status).toBe(v1.status);
      expect(v1.body !== v2.body).toBe(bodyDiffers(planted));
      if (planted.missingField) expect(v2.body).not.toContain("exchangeRate");
      expect(v2.delayMs - v1.delayMs >= 90).toBe(planted.slow);
      if (!planted.slow) expect(v2.delayMs).toBe(v1.delayMs);
    }
  });

  test("comes in the shares that the demo promises", () => {
    const posts = MANY.filter(({ body }) => body !== "");
    const errors = posts.filter((request) => plantedIn(request).error).length;
    expect(errors / posts.length).toBeGreaterThan(0.003);
    expect(errors / posts.length).toBeLessThan(0.007);
    expect(share((request) => plantedIn(request).slow)).toBeCloseTo(0.03, 2);
    const scores = MANY.filter(({ path }) => path === "/v1/score");
    const rounded = scores.filter((request) => plantedIn(request).rounding).length;
    expect(rounded / scores.length).toBeCloseTo(0.05, 2);
  });

  test("leaves noise to v1 as well: timestamps and request ids, of one length", () => {
    const request = MANY.find(({ path }) => path.startsWith("/v1/transactions/"));
    if (request === undefined) throw new Error("no look-up in the traffic");
    const one = answerTo(request, "v1", { servedAt: "2026-01-02T03:04:05.678Z", requestId: "a" });
    const two = answerTo(request, "v1", { servedAt: "2026-01-02T03:04:05.679Z", requestId: "b" });
    expect(one.body).not.toBe(two.body);
    expect(one.body.length).toBe(two.body.length);
    expect(plantedIn(request)).toMatchObject({ noise: true, rounding: false, error: false });
  });
});

describe("the service and the load generator", () => {
  test("give every request the answer that its content says, over kept-alive connections", async () => {
    const service = await startService({ version: "v2", fast: true });
    const answers = new Map<number, { status: number; body: string }>();
    try {
      const load = startLoad({
        url: `http://${service.address}`,
        requests: 300,
        rate: Number.POSITIVE_INFINITY,
        concurrency: 8,
        onAnswer: ({ index }, status, body) => answers.set(index, { status, body: `${body}` }),
      });
      const result = await load.done;
      expect(result).toMatchObject({ sent: 300, answered: 300, failed: 0 });
      expect(service.requests()).toBe(300);
      for (const [index, { status, body }] of answers) {
        const request = requestAt(index);
        const expected = answerTo(request, "v2");
        expect(status).toBe(expected.status);
        if (!plantedIn(request).noise) expect(body).toBe(expected.body);
      }
    } finally {
      await service.stop();
    }
  }, 30_000);

  test("keep to the rate, and count a server that is gone as failures instead of hanging", async () => {
    const service = await startService({ version: "v1", fast: true });
    const load = startLoad({ url: `http://${service.address}`, requests: 100, rate: 200 });
    const { elapsedMs, answered } = await load.done;
    expect(answered).toBe(100);
    expect(elapsedMs).toBeGreaterThan(300);
    await service.stop();
    const away = startLoad({
      url: `http://${service.address}`,
      requests: 20,
      rate: Number.POSITIVE_INFINITY,
    });
    expect(await away.done).toMatchObject({ sent: 20, answered: 0, failed: 20 });
  });

  test("stop when they are told to, with nothing left under way", async () => {
    const service = await startService({ version: "v1" });
    const load = startLoad({
      url: `http://${service.address}`,
      requests: Number.POSITIVE_INFINITY,
      rate: 500,
    });
    setTimeout(() => load.stop(), 200);
    const { sent, answered, failed } = await load.done;
    expect(sent).toBeGreaterThan(20);
    expect(answered + failed).toBe(sent);
    await service.stop();
  });
});
