import { expect, test } from "@jest/globals";
import { logBeta, logBetaRelative } from "../../analyzer/verdict/log-beta.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  logBeta: { p: number; q: number; value: number }[];
  logBetaRelative: { p: number; q: number; x: number; value: number }[];
}>("special-functions");

test.each(oracles.logBeta)("ln B($p, $q) agrees with 50 digits", ({ p, q, value }) => {
  expectClose(logBeta({ p, q }), value, { absolute: 1e-14, relative: 4e-16 });
  expectClose(logBeta({ p: q, q: p }), value, { absolute: 1e-14, relative: 4e-16 });
});

test.each(oracles.logBetaRelative)(
  "B($p, $q) against the likelihood at $x agrees with 50 digits, whatever cancels",
  ({ p, q, x, value }) => {
    expectClose(logBetaRelative({ p, q, x }), value, { absolute: 2e-14, relative: 1e-15 });
  },
);

test.each([
  [0, 1, 0.5],
  [1, -1, 0.5],
  [1, Infinity, 0.5],
  [1, 1, 0],
  [1, 1, 1],
  [1, 1, Number.NaN],
])("B(%p, %p) at %p is refused", (p, q, x) => {
  expect(() => logBetaRelative({ p, q, x })).toThrow(RangeError);
});
