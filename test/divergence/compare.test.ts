import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { compare, judge } from "../../analyzer/divergence/compare.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";
import { observation, unanswered } from "../support/observation.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`compare properties: seed ${seed}`);

const rules = { latency: { ratioMax: 3, differenceUsMin: 20_000 } };
const found = (primary: Partial<Observation>, shadow: Partial<Observation>) =>
  compare({
    primary: observation(primary),
    shadow: observation({ leg: "shadow", ...shadow }),
    rules,
  }).map(({ rule }) => rule);

const OTHER = "00000000000000000000000000000001";

describe("one cause, one finding", () => {
  test("equal answers have no divergence", () => {
    expect(found({}, {})).toEqual([]);
  });

  test("an error page in place of a result is one finding, not four", () => {
    expect(
      found(
        {},
        {
          status: 500,
          responseDigest: OTHER,
          responseBytes: 21,
          responseContentType: "text/plain",
        },
      ),
    ).toEqual(["status-class"]);
  });

  test("no answer is one finding", () => {
    const shadow = unanswered({ leg: "shadow", responseDigest: OTHER });
    expect(compare({ primary: observation(), shadow, rules }).map(({ rule }) => rule)).toEqual([
      "ending",
    ]);
  });

  test("a gRPC error behind HTTP 200 is one finding", () => {
    expect(
      found({ grpcStatus: 0 }, { grpcStatus: 13, responseBytes: 0, responseDigest: OTHER }),
    ).toEqual(["grpc-status"]);
  });

  test("another body of another size is two: that it differs, and by how much", () => {
    expect(found({}, { responseDigest: OTHER, responseBytes: 121 })).toEqual([
      "body-digest",
      "body-size",
    ]);
  });
});

describe("noise", () => {
  const pair = {
    experiment: "fraud",
    run: "0f3a5c7e9b1d",
    correlationId: observation().correlationId,
    primary: observation(),
    shadow: observation({ leg: "shadow", responseDigest: OTHER }),
    control: null,
    primaryAttempts: 1,
    joinedAtUs: 1,
  };

  test("without a control the noise is unknown, not empty", () => {
    expect(judge(pair, rules).noise).toBeNull();
    expect(judge(pair, rules).divergences).toHaveLength(1);
  });

  test("with a control the same rules measure what differs without any new version", () => {
    const control = observation({ leg: "control", responseDigest: OTHER, status: 201 });
    expect(judge({ ...pair, control }, rules).noise).toMatchObject([
      { rule: "status", sentence: "the control answered 201 where the primary answered 200" },
      { rule: "body-digest", sentence: "the control's body differs from the primary's" },
    ]);
  });
});

const legArbitrary = fc.record({
  status: fc.constantFrom(0, 100, 200, 201, 302, 404, 500, 503, 999),
  grpcStatus: fc.constantFrom(null, 0, 13, 99),
  responseBytes: fc.constantFrom(0, 1, 120, 9_007_199_254_740_991),
  responseDigest: fc.constantFrom(OTHER, observation().responseDigest),
  responseContentType: fc.constantFrom(null, "text/html", "application/json"),
  responseContentEncoding: fc.constantFrom(null, "identity", "gzip"),
  totalUs: fc.constantFrom(0, 1, 20_000, 9_007_199_254_740_991),
  ending: fc.constantFrom("complete", "reset", "client-left", "no-answer", "streaming"),
  failure: fc.constantFrom("", "reset_reason"),
  cut: fc.subarray(["responseDigest", "responseContentType"]),
} as const);

describe("whatever the answers are", () => {
  test("a leg never diverges from an equal one, however it ended", () => {
    fc.assert(
      fc.property(legArbitrary, (leg) => {
        expect(found(leg as Partial<Observation>, leg as Partial<Observation>)).toEqual([]);
      }),
      { seed },
    );
  });

  test("each rule speaks at most once, status and its class never both, and each sentence names both sides", () => {
    fc.assert(
      fc.property(legArbitrary, legArbitrary, (primary, shadow) => {
        const divergences = compare({
          primary: observation(primary as Partial<Observation>),
          shadow: observation({ leg: "shadow", ...(shadow as Partial<Observation>) }),
          rules,
        });
        const names = divergences.map(({ rule }) => rule);
        expect(new Set(names).size).toBe(names.length);
        expect(names.includes("status") && names.includes("status-class")).toBe(false);
        for (const { sentence, primary: ours, shadow: theirs } of divergences) {
          expect(sentence).toMatch(/^the shadow.* the primary/);
          expect(ours).not.toBe(theirs);
        }
      }),
      { seed, numRuns: 1_000 },
    );
  });
});
