import { describe, expect, test } from "@jest/globals";
import {
  meanSequence,
  meanSequenceEvidence,
  meanSequenceLimits,
} from "../../analyzer/verdict/mean-sequence.ts";
import {
  addToMoments,
  type Moments,
  momentsOf,
  NO_MOMENTS,
} from "../../analyzer/verdict/moments.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";

/** Count blocks of a given mean and standard deviation. */
function moments(count: number, mean: number, deviation: number): Moments {
  return { count, mean, squaredDeviations: deviation ** 2 * (count - 1) };
}

test("GrowthBook's published interval", () => {
  const estimate = 0.5033610858562358;
  const deviation = 0.3334122146400735 * Math.sqrt(6461);
  const interval = meanSequence({
    moments: moments(6461, estimate, deviation),
    alpha: 0.05,
    tunedCount: 1000,
  });
  expectClose(interval?.lower ?? Number.NaN, -0.55844, { absolute: 5e-6 });
  expectClose(interval?.upper ?? Number.NaN, 1.56516, { absolute: 5e-6 });
});

test("one-sided half-widths with unit deviation, tuned to 60: 0.518452 after 30 blocks, 0.255725 after 120", () => {
  for (const [count, halfWidth] of [
    [30, 0.518452],
    [120, 0.255725],
  ] as const) {
    const limits = meanSequenceLimits({ moments: moments(count, 0, 1), alpha: 0.05 });
    expectClose(limits?.upper ?? Number.NaN, halfWidth, { absolute: 5e-7 });
    expectClose(limits?.lower ?? Number.NaN, -halfWidth, { absolute: 5e-7 });
  }
});

test("two-sided: 1.73, 1.69, 1.70 and 1.90 times the fixed interval after 30, 60, 120 and 1,440 blocks", () => {
  for (const [count, ratio] of [
    [30, 1.73],
    [60, 1.69],
    [120, 1.7],
    [1440, 1.9],
  ] as const) {
    const interval = meanSequence({ moments: moments(count, 0, 1), alpha: 0.05 });
    expectClose((interval?.upper ?? Number.NaN) / (1.959964 / Math.sqrt(count)), ratio, {
      absolute: 5e-3,
    });
  }
});

test("nothing is said from fewer than 30 blocks, or from blocks that do not vary", () => {
  expect(meanSequence({ moments: moments(29, 0.1, 1), alpha: 0.05 })).toBeNull();
  expect(meanSequenceLimits({ moments: moments(30, 0.1, 0), alpha: 0.05 })).toBeNull();
  expect(
    meanSequenceEvidence({ claim: "safe", moments: NO_MOMENTS, margin: 0, alpha: 0.05 }),
  ).toBeNull();
  expect(meanSequence({ moments: moments(30, 0.1, 1), alpha: 0.05 })).not.toBeNull();
});

test("a floor under the variance widens a quiet start and leaves a noisy one as it is", () => {
  const quiet = meanSequence({ moments: moments(40, 0, 0), alpha: 0.05, varianceFloor: 4 });
  const noisy = meanSequence({ moments: moments(40, 0, 2), alpha: 0.05, varianceFloor: 1 });
  expect(quiet).toEqual(noisy);
});

test("evidence reaches 1/alpha exactly where the limit for alpha meets the margin", () => {
  for (const [count, mean, deviation] of [
    [30, 0.02, 0.1],
    [500, -3, 40],
    [100_000, 0.0001, 0.5],
  ] as const) {
    const input = { moments: moments(count, mean, deviation), alpha: 0.05 };
    const limits = meanSequenceLimits(input);
    if (limits === null) throw new Error("no limits");
    const harm = meanSequenceEvidence({ ...input, claim: "harm", margin: limits.lower });
    const safe = meanSequenceEvidence({ ...input, claim: "safe", margin: limits.upper });
    expectClose(harm ?? Number.NaN, Math.log(20), { absolute: 1e-9 });
    expectClose(safe ?? Number.NaN, Math.log(20), { absolute: 1e-9 });
    expect(meanSequenceEvidence({ ...input, claim: "harm", margin: mean })).toBe(-Infinity);
    expect(meanSequenceEvidence({ ...input, claim: "safe", margin: mean - 1 })).toBe(-Infinity);
  }
});

test("evidence too large for a number is still a logarithm", () => {
  const evidence = meanSequenceEvidence({
    claim: "harm",
    moments: moments(1_000_000_000, 5, 0.1),
    margin: 0,
    alpha: 0.05,
  });
  expect(evidence ?? 0).toBeGreaterThan(1e10);
  expect(Number.isFinite(evidence)).toBe(true);
});

test("for normal blocks of known deviation the mean of E stays below 1", () => {
  // Against the density of the mean, by the trapezoidal rule on a fine grid.
  for (const count of [30, 100, 3000]) {
    let expectation = 0;
    for (let z = -9; z <= 9; z += 0.001) {
      const mean = z / Math.sqrt(count);
      const evidence = meanSequenceEvidence({
        claim: "harm",
        moments: moments(count, mean, 1),
        margin: 0,
        alpha: 0.05,
      });
      expectation +=
        (0.001 * Math.exp((evidence ?? -Infinity) - (z * z) / 2)) / Math.sqrt(2 * Math.PI);
    }
    expect(expectation).toBeLessThanOrEqual(1);
    expect(expectation).toBeGreaterThan(0.3);
  }
});

describe("500 runs looked at after every block from the 30th to the 2,000th", () => {
  // Published: 0.033 to 0.041 up to 10,000 blocks. Three standard errors of 500 runs at 0.04 are 0.026.
  test.each([
    ["normal", (draws: Draws) => draws.normal()],
    ["Laplace", (draws: Draws) => Math.log(draws.uniform() / draws.uniform())],
    ["2 % slow mode", (draws: Draws) => draws.normal() + (draws.happens(0.02) ? 5 : 0) - 0.1],
  ] as const)(
    "%s blocks: the interval leaves out the truth in at most 6.6 %% of them",
    (_, draw) => {
      const draws = new Draws(5);
      let missed = 0;
      for (let run = 0; run < 500; run++) {
        let running = NO_MOMENTS;
        for (let block = 1; block <= 2000; block++) {
          running = addToMoments(running, draw(draws));
          const interval = meanSequence({ moments: running, alpha: 0.05 });
          if (interval !== null && (interval.lower > 0 || interval.upper < 0)) {
            missed++;
            break;
          }
        }
      }
      expect(missed / 500).toBeLessThanOrEqual(0.066);
    },
  );
});

test("impossible arguments are refused", () => {
  const input = { moments: momentsOf([1, 2, 3]), alpha: 0.05 };
  expect(() => meanSequence({ ...input, alpha: 0 })).toThrow("alpha is 0");
  expect(() => meanSequenceLimits({ ...input, alpha: 0.5 })).toThrow("alpha is 0.5");
  expect(() => meanSequence({ ...input, tunedCount: 0 })).toThrow("tunedCount is 0");
  expect(() => meanSequence({ ...input, varianceFloor: -1 })).toThrow("varianceFloor is -1");
  expect(() => meanSequenceEvidence({ ...input, claim: "harm", margin: Number.NaN })).toThrow(
    "margin is NaN",
  );
});
