import { describe, expect, test } from "@jest/globals";
import {
  bettingAt,
  bettingEvidence,
  bettingInterval,
  bettingLimit,
  bettingPairsNeeded,
  type Claim,
} from "../../analyzer/verdict/betting.ts";
import type { RateSums } from "../../analyzer/verdict/rate-sums.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  betting: {
    claim: Claim;
    worse: number;
    better: number;
    pairs: number;
    margin: number;
    value: number;
  }[];
}>("sequential");
const CLAIMS: readonly Claim[] = ["harm", "safe"];

function sums(worseCount: number, betterCount: number, pairCount: number): RateSums {
  return { pairCount, worseCount, betterCount };
}

test.each(oracles.betting)(
  "ln E of $claim beyond $margin for $worse worse, $better better of $pairs agrees with 50 digits",
  ({ claim, worse, better, pairs, margin, value }) => {
    const got = bettingEvidence({
      claim,
      sums: sums(worse, better, pairs),
      margin,
    });
    expectClose(got, value, { absolute: 1e-12 + 4e-16 * pairs, relative: 1e-14 });
  },
);

test("published values of the same grid", () => {
  const published = [
    ["safe", 0.001, sums(0, 0, 4200), 3.042394121],
    ["safe", 0.001, sums(0, 0, 4100), 2.9509170482],
    ["safe", 0.001, sums(5, 5, 10_000), 1.8207955332],
    ["harm", 0.001, sums(30, 10, 5000), 1.6783471546],
    ["safe", 0.01, sums(0, 0, 420), 3.0603315345],
  ] as const;
  for (const [claim, margin, counts, value] of published) {
    expectClose(bettingEvidence({ claim, sums: counts, margin }), value, { absolute: 1e-10 });
  }
});

test("clean traffic proves 0.1 points after 4,150 pairs and 0.5 points after 829, not one earlier", () => {
  for (const [margin, pairCount] of [
    [0.001, 4150],
    [0.005, 829],
  ] as const) {
    const evidenceOf = (n: number): number =>
      bettingEvidence({ claim: "safe", sums: sums(0, 0, n), margin });
    expect(evidenceOf(pairCount)).toBeGreaterThanOrEqual(Math.log(20));
    expect(evidenceOf(pairCount - 1)).toBeLessThan(Math.log(20));
  }
});

describe("the bound on false claims", () => {
  test("at the margin exactly, the mean of E is 1 for either claim", () => {
    for (const [worseRate, betterRate] of [
      [0.001, 0],
      [0.3, 0.29],
      [0.05, 0.15],
      [0.6, 0.4],
      [0.5, 0.5],
    ] as const) {
      for (const claim of CLAIMS) {
        for (const n of [1, 2, 6, 12]) {
          expectClose(
            meanEvidence({ claim, worseRate, betterRate, margin: worseRate - betterRate, n }),
            1,
            { absolute: 1e-12 },
          );
        }
      }
    }
  });

  test("on the side where the claim is false, the mean of E is below 1", () => {
    for (const n of [1, 5, 10]) {
      expect(
        meanEvidence({ claim: "harm", worseRate: 0.02, betterRate: 0.03, margin: 0.01, n }),
      ).toBeLessThan(1);
      expect(
        meanEvidence({ claim: "harm", worseRate: 0, betterRate: 0, margin: 0.01, n }),
      ).toBeLessThan(1);
      expect(
        meanEvidence({ claim: "safe", worseRate: 0.2, betterRate: 0.05, margin: 0.01, n }),
      ).toBeLessThan(1);
      expect(
        meanEvidence({ claim: "safe", worseRate: 0.02, betterRate: 0, margin: 0.01, n }),
      ).toBeLessThan(1);
    }
  });

  // 300 runs of 20,000 pairs. Nominal 0.05; published 0.009 to 0.033; three standard errors of the simulation are 0.038.
  test.each([
    ["harm", 0],
    ["harm", 0.01],
    ["safe", 0],
    ["safe", 0.01],
  ] as const)(
    "%s at a margin of 0.5 points, flakes at %p on both sides, a look after every 20 pairs: at most 5 %% false claims",
    (claim, flakes) => {
      const margin = 0.005;
      const draws = new Draws(20_251);
      const evidenceOf = bettingAt({ claim, margin });
      let falseClaims = 0;
      for (let run = 0; run < 300; run++) {
        let worseCount = 0;
        let betterCount = 0;
        for (let n = 1; n <= 20_000; n++) {
          const draw = draws.uniform();
          if (draw < flakes + margin) worseCount++;
          else if (draw < 2 * flakes + margin) betterCount++;
          if (n % 20 !== 0) continue;
          if (evidenceOf(sums(worseCount, betterCount, n)) >= Math.log(20)) {
            falseClaims++;
            break;
          }
        }
      }
      expect(falseClaims / 300).toBeLessThanOrEqual(0.05);
    },
    60_000,
  );
});

test("changing sides turns harm's arguments into safety's", () => {
  // The stakes mirror each other and only the weight of the largest differs, so the two agree up to that weight.
  for (const counts of [sums(3, 8, 500), sums(40, 10, 1000)]) {
    const harm = bettingEvidence({ claim: "harm", sums: counts, margin: 0.01 });
    const mirrored = bettingEvidence({
      claim: "safe",
      sums: sums(counts.betterCount, counts.worseCount, counts.pairCount),
      margin: -0.01,
    });
    expect(Math.abs(harm - mirrored)).toBeLessThanOrEqual(Math.log(6));
  }
});

test("one more worse pair is evidence of harm and against safety, whatever the counts", () => {
  for (const margin of [-0.01, 0, 0.001, 0.3]) {
    for (const counts of [sums(0, 0, 100), sums(5, 5, 10_000), sums(300, 200, 1000)]) {
      const more = {
        ...counts,
        worseCount: counts.worseCount + 1,
        pairCount: counts.pairCount + 1,
      };
      const harm = (each: RateSums): number =>
        bettingEvidence({ claim: "harm", sums: each, margin });
      const safe = (each: RateSums): number =>
        bettingEvidence({ claim: "safe", sums: each, margin });
      expect(harm(more)).toBeGreaterThan(harm(counts));
      expect(safe(more)).toBeLessThan(safe(counts));
    }
  }
});

describe("the interval", () => {
  test("its ends are where the claims reach 2/alpha, to the last digits", () => {
    for (const counts of [
      sums(0, 0, 1000),
      sums(30, 10, 5000),
      sums(3, 90, 1000),
      sums(700, 0, 1000),
    ]) {
      const { lower, upper } = bettingInterval({ sums: counts, alpha: 0.05 });
      expect(lower).toBeLessThan(upper);
      const observed = (counts.worseCount - counts.betterCount) / counts.pairCount;
      expect(lower).toBeLessThanOrEqual(observed);
      expect(upper).toBeGreaterThanOrEqual(observed);
      expectClose(bettingEvidence({ claim: "harm", sums: counts, margin: lower }), Math.log(40), {
        absolute: 1e-8,
      });
      expectClose(bettingEvidence({ claim: "safe", sums: counts, margin: upper }), Math.log(40), {
        absolute: 1e-8,
      });
    }
  });

  test("evidence is monotone in the margin, so what lies outside the interval is excluded", () => {
    for (const counts of [sums(0, 0, 50), sums(30, 10, 5000), sums(3, 90, 1000)]) {
      let harm = Infinity;
      let safe = -Infinity;
      for (let margin = -0.995; margin < 1; margin += 0.005) {
        const nextHarm = bettingEvidence({ claim: "harm", sums: counts, margin });
        const nextSafe = bettingEvidence({ claim: "safe", sums: counts, margin });
        expect(nextHarm).toBeLessThanOrEqual(harm + 1e-9);
        expect(nextSafe).toBeGreaterThanOrEqual(safe - 1e-9);
        harm = nextHarm;
        safe = nextSafe;
      }
    }
  });

  test("without pairs everything is possible", () => {
    expect(bettingInterval({ sums: sums(0, 0, 0), alpha: 0.05 })).toEqual({ lower: -1, upper: 1 });
  });

  test("without events the upper limit is the always-valid rule of three", () => {
    const upper = bettingLimit({ claim: "safe", sums: sums(0, 0, 4150), alpha: 0.05 });
    expectClose(upper, 0.001, { relative: 1e-3 });
    expectClose(upper * 4150, 4.15, { relative: 1e-3 });
  });

  test("a thousand million pairs give an interval around the observed excess", () => {
    const { lower, upper } = bettingInterval({
      sums: sums(1_100_000, 1_000_000, 1_000_000_000),
      alpha: 0.05,
    });
    expect(lower).toBeGreaterThan(0.00001);
    expect(lower).toBeLessThan(0.0001);
    expect(upper).toBeGreaterThan(0.0001);
    expect(upper).toBeLessThan(0.001);
  });

  test("200 runs watched after every 50 pairs: the true excess is left out in at most 5 %", () => {
    // Both evidences are monotone in the margin (above), so the interval leaves 0.02 out when either reaches 2/alpha there.
    const harm = bettingAt({ claim: "harm", margin: 0.02 });
    const safe = bettingAt({ claim: "safe", margin: 0.02 });
    const draws = new Draws(77);
    let missed = 0;
    for (let run = 0; run < 200; run++) {
      let worseCount = 0;
      let betterCount = 0;
      for (let n = 1; n <= 5000; n++) {
        const draw = draws.uniform();
        if (draw < 0.05) worseCount++;
        else if (draw < 0.08) betterCount++;
        if (n % 50 !== 0) continue;
        const counts = sums(worseCount, betterCount, n);
        if (Math.max(harm(counts), safe(counts)) >= Math.log(40)) {
          missed++;
          break;
        }
      }
    }
    expect(missed / 200).toBeLessThanOrEqual(0.05);
  }, 60_000);
});

describe("the forecast", () => {
  test("clean traffic needs 4,150 pairs for 0.1 points, and 150 more after 4,000", () => {
    const needed = (pairCount: number): number | null =>
      bettingPairsNeeded({
        claim: "safe",
        sums: sums(0, 0, pairCount),
        margin: 0.001,
        alpha: 0.05,
      });
    expect(needed(0)).toBe(4150);
    expect(needed(4000)).toBe(150);
    expect(needed(4150)).toBe(0);
  });

  test("it is the first number of pairs at which the extended counts prove the claim", () => {
    const counts = sums(20, 10, 10_000);
    for (const [claim, margin] of [
      ["safe", 0.002],
      ["harm", 0.0001],
    ] as const) {
      const more = bettingPairsNeeded({ claim, sums: counts, margin, alpha: 0.05 });
      expect(more).not.toBeNull();
      // Rates are multiples of 1/1000, so multiples of 1000 pairs are whole counts.
      const extended = (n: number): number =>
        bettingEvidence({ claim, margin, sums: sums(20 + n / 500, 10 + n / 1000, 10_000 + n) });
      const thousand = Math.floor((more ?? 0) / 1000) * 1000;
      expect(extended(thousand)).toBeLessThan(Math.log(20));
      expect(extended(thousand + 1000)).toBeGreaterThanOrEqual(Math.log(20));
    }
  });

  test("an excess on the wrong side of the margin, or at it, is never proven", () => {
    const counts = sums(30, 10, 10_000);
    expect(
      bettingPairsNeeded({ claim: "safe", sums: counts, margin: 0.001, alpha: 0.05 }),
    ).toBeNull();
    expect(
      bettingPairsNeeded({ claim: "safe", sums: counts, margin: 0.002, alpha: 0.05 }),
    ).toBeNull();
    expect(
      bettingPairsNeeded({ claim: "harm", sums: counts, margin: 0.01, alpha: 0.05 }),
    ).toBeNull();
  });

  test("other rates than those seen can be assumed", () => {
    const clean = bettingPairsNeeded({
      claim: "safe",
      sums: sums(0, 0, 0),
      margin: 0.001,
      alpha: 0.05,
    });
    const flaky = bettingPairsNeeded({
      claim: "safe",
      sums: sums(0, 0, 0),
      margin: 0.001,
      alpha: 0.05,
      worseRate: 0.0005,
      betterRate: 0.0005,
    });
    expect(flaky ?? 0).toBeGreaterThan(clean ?? 0);
    expect(() =>
      bettingPairsNeeded({
        claim: "safe",
        sums: sums(0, 0, 0),
        margin: 0.001,
        alpha: 0.05,
        worseRate: 0.7,
        betterRate: 0.7,
      }),
    ).toThrow("together at most 1");
  });
});

test("impossible counts and margins are refused and named", () => {
  const evidenceOf = (counts: RateSums, margin: number): number =>
    bettingEvidence({ claim: "harm", sums: counts, margin });
  expect(() => evidenceOf(sums(6, 5, 10), 0)).toThrow("6 worse and 5 better of 10 pairs");
  expect(() => evidenceOf(sums(-1, 0, 10), 0)).toThrow("worseCount is -1");
  expect(() => evidenceOf(sums(0, 0, 0.5), 0)).toThrow("pairCount is 0.5");
  for (const margin of [1, -1, Number.NaN])
    expect(() => evidenceOf(sums(0, 0, 1), margin)).toThrow("margin is");
  expect(() => bettingInterval({ sums: sums(0, 0, 1), alpha: 0 })).toThrow("alpha is 0");
});

/** Sum over all outcomes of n pairs of their multinomial probability times E. */
function meanEvidence({
  claim,
  worseRate,
  betterRate,
  margin,
  n,
}: {
  claim: Claim;
  worseRate: number;
  betterRate: number;
  margin: number;
  n: number;
}): number {
  const equalRate = Math.max(0, 1 - worseRate - betterRate);
  let mean = 0;
  for (let b = 0; b <= n; b++) {
    for (let c = 0; b + c <= n; c++) {
      const mass =
        choose(n, b) *
        choose(n - b, c) *
        worseRate ** b *
        betterRate ** c *
        equalRate ** (n - b - c);
      if (mass > 0)
        mean += mass * Math.exp(bettingEvidence({ claim, sums: sums(b, c, n), margin }));
    }
  }
  return mean;
}

function choose(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= k; i++) result = (result * (n - k + i)) / i;
  return result;
}
