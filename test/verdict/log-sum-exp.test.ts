import { expect, test } from "@jest/globals";
import { logOneMinusExp, logSumExp } from "../../analyzer/verdict/log-sum-exp.ts";
import { expectClose } from "./close.ts";

test("sums of numbers too large and too small to exist keep their digits", () => {
  expectClose(logSumExp([1000, 1000]), 1000 + Math.LN2, { relative: 1e-15 });
  expectClose(logSumExp([-1000, -1000, -1000]), -1000 + Math.log(3), { relative: 1e-15 });
  expectClose(logSumExp([Math.log(1), Math.log(2), Math.log(3)]), Math.log(6), { absolute: 1e-15 });
  expect(logSumExp([5, -Infinity])).toBe(5);
});

test("an empty sum is 0, an infinite term is infinite, NaN is refused", () => {
  expect(logSumExp([])).toBe(-Infinity);
  expect(logSumExp([-Infinity, -Infinity])).toBe(-Infinity);
  expect(logSumExp([1, Infinity])).toBe(Infinity);
  expect(() => logSumExp([1, Number.NaN])).toThrow(RangeError);
});

test("the complement of a probability is exact near 0 and near 1", () => {
  expectClose(logOneMinusExp(-1e-20), Math.log(1e-20), { relative: 1e-15 });
  expectClose(logOneMinusExp(Math.log(0.25)), Math.log(0.75), { absolute: 1e-15 });
  expectClose(logOneMinusExp(-100), -Math.exp(-100), { relative: 1e-15 });
  expect(logOneMinusExp(0)).toBe(-Infinity);
  expect(() => logOneMinusExp(1e-9)).toThrow("expected at most 0");
});
