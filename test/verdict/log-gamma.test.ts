import { expect, test } from "@jest/globals";
import { logGamma, stirlingError } from "../../analyzer/verdict/log-gamma.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  logGamma: { x: number; value: number }[];
  stirlingError: { x: number; value: number }[];
}>("special-functions");

test.each(oracles.logGamma)("ln Gamma($x) agrees with 50 digits", ({ x, value }) => {
  expectClose(logGamma(x), value, { absolute: 2e-15, relative: 2e-15 });
});

test.each(oracles.stirlingError)(
  "what Stirling lacks at $x agrees with 50 digits",
  ({ x, value }) => {
    expectClose(stirlingError(x), value, { absolute: x < 0.5 ? 0 : 1e-15, relative: 1e-15 });
  },
);

test("factorials come out as factorials", () => {
  let factorial = 1;
  for (let n = 1; n <= 20; n++) {
    factorial *= n;
    expectClose(logGamma(n + 1), Math.log(factorial), { absolute: 4e-15, relative: 1e-15 });
  }
});

test.each([0, -1, Number.NaN, Infinity])("%p is refused", (x) => {
  expect(() => logGamma(x)).toThrow(RangeError);
});
