import { expect, test } from "@jest/globals";
import { addMeanSums, meanOf, microsOf, NO_MEAN } from "../../analyzer/verdict/mean-sums.ts";
import { Draws } from "./draws.ts";

test("a mean has the same bits in any order, where a sum of doubles has not", () => {
  const draws = new Draws(9);
  const values = Array.from({ length: 5000 }, () => draws.normal() * 0.3);
  const sumOf = (order: readonly number[]): number =>
    order.map((value) => ({ pairCount: 1, microSum: microsOf(value) })).reduce(addMeanSums, NO_MEAN)
      .microSum;
  const plainSumOf = (order: readonly number[]): number =>
    order.reduce((sum, value) => sum + value, 0);
  const shuffled = draws.shuffled(values);
  expect(plainSumOf(shuffled)).not.toBe(plainSumOf(values));
  expect(sumOf(shuffled)).toBe(sumOf(values));
  const mean = meanOf({ pairCount: values.length, microSum: sumOf(values) }) ?? Number.NaN;
  expect(Math.abs(mean - plainSumOf(values) / 5000)).toBeLessThan(5e-7);
});

test("extreme values are cut at 64, the mean of nothing is null, an overflowing sum is refused", () => {
  expect(microsOf(1000)).toBe(64_000_000);
  expect(microsOf(-1000)).toBe(-64_000_000);
  expect(Object.is(microsOf(-1e-9), 0)).toBe(true);
  expect(meanOf(NO_MEAN)).toBeNull();
  expect(() => microsOf(Number.NaN)).toThrow(RangeError);
  const full = { pairCount: 1, microSum: Number.MAX_SAFE_INTEGER };
  expect(() => addMeanSums(full, { pairCount: 1, microSum: 1 })).toThrow("within 2^53");
});
