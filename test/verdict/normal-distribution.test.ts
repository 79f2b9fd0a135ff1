import { expect, test } from "@jest/globals";
import {
  logNormalUpperTail,
  normalUpperQuantile,
  normalUpperTail,
} from "../../analyzer/verdict/normal-distribution.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  normalUpperTail: { z: number; logUpper: number }[];
  normalUpperQuantile: { tail: number; z: number }[];
}>("special-functions");

test.each(oracles.normalUpperTail)("ln P(Z > $z) agrees with SciPy", ({ z, logUpper }) => {
  expectClose(logNormalUpperTail(z), logUpper, {
    absolute: Math.abs(z) < 39 ? 1e-14 : 0,
    relative: 1e-15,
  });
});

test.each(oracles.normalUpperQuantile)(
  "the z exceeded with probability $tail agrees with SciPy",
  ({ tail, z }) => {
    expectClose(normalUpperQuantile(tail), z, { absolute: 1e-15, relative: 1e-14 });
  },
);

test("the tails at z and -z sum to 1, and infinities are ends", () => {
  for (const z of [0, 0.1, 1, 1.5, 2, 5]) {
    expectClose(normalUpperTail(z) + normalUpperTail(-z), 1, { absolute: 2e-16 });
  }
  expect(normalUpperTail(Infinity)).toBe(0);
  expect(normalUpperTail(-Infinity)).toBe(1);
  expect(normalUpperTail(50)).toBe(0);
});

test("nonsense is refused", () => {
  expect(() => logNormalUpperTail(Number.NaN)).toThrow(RangeError);
  for (const tail of [0, 1, -0.1, Number.NaN]) {
    expect(() => normalUpperQuantile(tail)).toThrow(RangeError);
  }
});
