import { expect, test } from "@jest/globals";
import { addToMoments, momentsOf, NO_MOMENTS, varianceOf } from "../../analyzer/verdict/moments.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";

test("the variance of values far from 0 keeps its digits", () => {
  const draws = new Draws(4);
  // Multiples of 2^-20, so that adding 1e6 is exact and both lists have the same variance.
  const values = Array.from(
    { length: 10_000 },
    () => Math.round(draws.normal() * 2 ** 20) / 2 ** 20,
  );
  const near = momentsOf(values);
  const far = momentsOf(values.map((value) => value + 1e6));
  expectClose(varianceOf(far), varianceOf(near), { relative: 1e-8 });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const twoPass = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  expectClose(varianceOf(near), twoPass, { relative: 1e-13 });
});

test("small cases by hand", () => {
  expect(momentsOf([])).toEqual(NO_MOMENTS);
  expect(varianceOf(NO_MOMENTS)).toBe(0);
  expect(varianceOf(momentsOf([5]))).toBe(0);
  expect(momentsOf([1, 2, 6])).toEqual({ count: 3, mean: 3, squaredDeviations: 14 });
  expect(varianceOf(momentsOf([1, 2, 6]))).toBe(7);
  expect(varianceOf(momentsOf([0.1, 0.1, 0.1]))).toBe(0);
  expect(() => addToMoments(NO_MOMENTS, Number.NaN)).toThrow(RangeError);
});
