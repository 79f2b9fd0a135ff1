import { describe, expect, test } from "@jest/globals";
import { byExcess, headline, noiseLine } from "../../analyzer/dashboard/page/headline.ts";

const plain = (text: string) => text.replaceAll("\u202f", " ");
const route = (method: string, path: string, divergentPairs: number) => ({
  method,
  route: path,
  divergentPairs,
  rules: [{ pairs: divergentPairs, noisePairs: null as number | null }],
});
const rule = (name: string, pairs: number, noisePairs: number | null) => ({
  rule: name,
  grade: "high",
  pairs,
  rate: pairs / 1000,
  noisePairs,
  noiseRate: noisePairs === null ? null : noisePairs / 1000,
});

describe("the headline", () => {
  test("says how many, how often, and where most of it is", () => {
    const routes = [route("GET", "/a", 2), route("POST", "/score", 380)];
    expect(plain(headline({ pairs: 18_204, divergentPairs: 382, controlPairs: 0, routes }))).toBe(
      "18,204 pairs; 2.1 % differ; mostly on POST /score",
    );
  });

  test("does not say mostly when no route has most of it", () => {
    const routes = [route("GET", "/a", 4), route("GET", "/b", 3), route("GET", "/c", 3)];
    expect(plain(headline({ pairs: 1000, divergentPairs: 10, controlPairs: 0, routes }))).toBe(
      "1,000 pairs; 1.0 % differ; on 3 routes, most on GET /a",
    );
  });

  test("says all when it is all, and nothing of routes when there is one", () => {
    const one = route("POST", "/score", 10);
    expect(
      headline({
        pairs: 1000,
        divergentPairs: 10,
        controlPairs: 0,
        routes: [one, route("GET", "/", 0)],
      }),
    ).toMatch(/all on POST \/score$/);
    expect(
      headline({ pairs: 1000, divergentPairs: 10, controlPairs: 0, routes: [one] }),
    ).not.toMatch(/score/);
  });

  test("with a control points to where the shadow stands out, not to the noisiest route", () => {
    const noisy = { ...route("GET", "/history", 300), rules: [{ pairs: 300, noisePairs: 299 }] };
    const broken = { ...route("POST", "/score", 80), rules: [{ pairs: 80, noisePairs: 0 }] };
    const summary = { pairs: 1000, divergentPairs: 380, controlPairs: 1000 };
    expect(headline({ ...summary, routes: [noisy, broken] })).toMatch(
      /; beyond noise most on POST \/score$/,
    );
    const even = { ...noisy, rules: [{ pairs: 300, noisePairs: 300 }] };
    expect(headline({ ...summary, routes: [even] })).toMatch(/more often than the control$/);
  });

  test("of no pairs and of equal pairs is plain", () => {
    expect(headline({ pairs: 0, divergentPairs: 0, controlPairs: 0, routes: [] })).toBe(
      "No pairs yet",
    );
    expect(headline({ pairs: 1, divergentPairs: 0, controlPairs: 0, routes: [] })).toBe(
      "1 pair; none differs",
    );
  });
});

describe("the line about noise", () => {
  test("names what the shadow has beyond the control, with both figures", () => {
    const rules = [rule("body-digest", 1000, 1000), rule("status", 5, 0), rule("latency", 30, 10)];
    expect(plain(noiseLine({ pairs: 1000, controlPairs: 1000, rules }))).toBe(
      "Most beyond the control's noise: latency 3.0 % (control 1.0 %), status 0.50 % (control 0 %).",
    );
  });

  test("does not call anything noise without a control", () => {
    expect(noiseLine({ pairs: 10, controlPairs: 0, rules: [] })).toMatch(/^Without a control/);
  });

  test("says so when the control differs as much", () => {
    const rules = [rule("body-digest", 10, 12)];
    expect(noiseLine({ pairs: 1000, controlPairs: 1000, rules })).toMatch(/^No rule finds more/);
  });
});

test("rules come in the order of what lies beyond the noise, and the given list stays as it was", () => {
  const rules = [rule("body-digest", 1000, 1000), rule("status", 5, 0), rule("latency", 30, 10)];
  expect(byExcess(rules).map((one) => one.rule)).toEqual(["latency", "status", "body-digest"]);
  expect(rules[0]?.rule).toBe("body-digest");
});
