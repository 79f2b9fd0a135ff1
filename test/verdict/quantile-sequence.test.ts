import { expect, test } from "@jest/globals";
import {
  quantileEvidence,
  quantileRanks,
  quantileSequence,
} from "../../analyzer/verdict/quantile-sequence.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  quantile: {
    atOrBelow: number;
    count: number;
    level: number;
    alpha: number;
    tuned: number;
    value: number;
  }[];
}>("sequential");

test.each(oracles.quantile)(
  "ln E of $atOrBelow of $count at or below quantile $level agrees with 50 digits",
  ({ atOrBelow, count, level, alpha, tuned, value }) => {
    const got = quantileEvidence({ atOrBelow, count, level, alpha, tunedCount: tuned });
    expectClose(got, value, { absolute: count > 1e6 ? 1e-9 : 1e-11, relative: 1e-14 });
  },
);

test("published ranks: the median of 1,000 lies between the 453rd and 548th, p95 of 5,000 between the 4,702nd and 4,796th", () => {
  expect(quantileRanks({ count: 1000, level: 0.5, alpha: 0.05, tunedCount: 1000 })).toEqual({
    lower: 453,
    upper: 548,
  });
  expect(quantileRanks({ count: 5000, level: 0.95, alpha: 0.05, tunedCount: 5000 })).toEqual({
    lower: 4702,
    upper: 4796,
  });
});

test("the ranks are exactly those whose evidence stays below 1/alpha", () => {
  for (const count of [1, 2, 7, 40, 300]) {
    for (const level of [0.01, 0.5, 0.9, 0.99]) {
      const question = { level, alpha: 0.05, tunedCount: 200 };
      const accepted: number[] = [];
      for (let atOrBelow = 0; atOrBelow <= count; atOrBelow++) {
        if (quantileEvidence({ ...question, atOrBelow, count }) < Math.log(20))
          accepted.push(atOrBelow);
      }
      const lowest = accepted[0] ?? Number.NaN;
      const highest = accepted.at(-1) ?? Number.NaN;
      expect(accepted).toHaveLength(highest - lowest + 1);
      expect(quantileRanks({ ...question, count })).toEqual({
        lower: lowest === 0 ? null : lowest,
        upper: highest === count ? null : highest + 1,
      });
    }
  }
});

test("at the quantile the mean of E is 1", () => {
  for (const [count, level] of [
    [1, 0.5],
    [20, 0.9],
    [60, 0.03],
  ] as const) {
    let mean = 0;
    let choose = 1;
    for (let k = 0; k <= count; k++) {
      const evidence = quantileEvidence({
        atOrBelow: k,
        count,
        level,
        alpha: 0.05,
        tunedCount: 50,
      });
      mean += choose * level ** k * (1 - level) ** (count - k) * Math.exp(evidence);
      choose = (choose * (count - k)) / (k + 1);
    }
    expectClose(mean, 1, { absolute: 1e-12 });
  }
});

test("before there are enough values an end is open, with none both are", () => {
  expect(quantileRanks({ count: 0, level: 0.5, alpha: 0.05, tunedCount: 100 })).toEqual({
    lower: null,
    upper: null,
  });
  expect(
    quantileSequence({ sorted: [1, 2, 3], level: 0.99, alpha: 0.05, tunedCount: 100 }),
  ).toEqual({
    lower: -Infinity,
    upper: Infinity,
  });
  const few = quantileSequence({
    sorted: Array.from({ length: 100 }, (_, i) => i),
    level: 0.99,
    alpha: 0.05,
    tunedCount: 100,
  });
  expect(few.upper).toBe(Infinity);
  expect(few.lower).toBeGreaterThan(50);
});

test("a thousand million values take no longer than a few look-ups", () => {
  const { lower, upper } = quantileRanks({
    count: 1_000_000_000,
    level: 0.99,
    alpha: 0.05,
    tunedCount: 100_000,
  });
  expect(lower ?? 0).toBeGreaterThan(989_970_000);
  expect(upper ?? 0).toBeLessThan(990_030_000);
});

test("400 runs of 5,000 values, looked at after every 10: the true quantile is left out in at most 5 %", () => {
  for (const level of [0.5, 0.95]) {
    const draws = new Draws(21);
    // Ranks depend on the count only; of the values only how many lie at or below the truth matters.
    const ranks = Array.from({ length: 501 }, (_, look) =>
      quantileRanks({ count: look * 10, level, alpha: 0.05, tunedCount: 2000 }),
    );
    let missed = 0;
    for (let run = 0; run < 400; run++) {
      let atOrBelow = 0;
      for (let n = 1; n <= 5000; n++) {
        if (draws.happens(level)) atOrBelow++;
        if (n % 10 !== 0) continue;
        const { lower, upper } = ranks[n / 10] ?? { lower: null, upper: null };
        // The lower end lies above the truth when fewer values than its rank are at or below it; likewise the upper.
        if ((lower !== null && atOrBelow < lower) || (upper !== null && atOrBelow >= upper)) {
          missed++;
          break;
        }
      }
    }
    expect(missed / 400).toBeLessThanOrEqual(0.05);
  }
}, 30_000);

test("impossible questions are refused", () => {
  const question = { count: 10, level: 0.5, alpha: 0.05, tunedCount: 100 };
  expect(() => quantileRanks({ ...question, tunedCount: 7.9 })).toThrow(
    "tunedCount is 7.9, expected more than 7.93",
  );
  expect(() => quantileRanks({ ...question, level: 1 })).toThrow("level is 1");
  expect(() => quantileRanks({ ...question, count: -1 })).toThrow("count is -1");
  expect(() => quantileEvidence({ ...question, atOrBelow: 11 })).toThrow("11 of 10 values");
});
