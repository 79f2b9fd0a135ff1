import { expect, test } from "@jest/globals";
import { logBeta } from "../../analyzer/verdict/log-beta.ts";
import {
  logRegularizedIncompleteBeta,
  logUpperBetaRelative,
} from "../../analyzer/verdict/regularized-incomplete-beta.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  betaTails: { p: number; q: number; x: number; lower: number; upper: number }[];
}>("special-functions");

test.each(oracles.betaTails)(
  "both tails of Beta($p, $q) at $x agree with integration in 50 digits",
  ({ p, q, x, lower, upper }) => {
    const got = logRegularizedIncompleteBeta({ p, q, x });
    const error = { absolute: p + q > 1e6 + 10 ? 1e-10 : 1e-13, relative: 2e-15 };
    expectClose(got.lower, lower, error);
    expectClose(got.upper, upper, error);
  },
);

test("Beta(1/2, 1/2) is the arcsine law", () => {
  for (const x of [0.001, 0.1, 0.5, 0.9, 0.999]) {
    const { lower } = logRegularizedIncompleteBeta({ p: 0.5, q: 0.5, x });
    expectClose(lower, Math.log((2 / Math.PI) * Math.asin(Math.sqrt(x))), { absolute: 1e-14 });
  }
});

test("for whole numbers the tails are sums of binomial probabilities", () => {
  for (const n of [1, 2, 7, 20]) {
    for (const x of [0.01, 0.3, 0.5, 0.8]) {
      let tail = 0;
      let mass = x ** n; // of n successes in n
      for (let k = n; k >= 1; k--) {
        tail += mass;
        const { lower } = logRegularizedIncompleteBeta({ p: k, q: n - k + 1, x });
        expectClose(lower, Math.log(tail), { absolute: 1e-13, relative: 1e-14 });
        mass *= (k / (n - k + 1)) * ((1 - x) / x);
      }
    }
  }
});

test("the integral above x against the likelihood at x is what its parts say", () => {
  for (const [p, q, x] of [
    [2, 3, 0.5],
    [5, 5, 0.5],
    [3, 98, 0.2],
    [40, 10, 0.3],
  ] as const) {
    const { upper } = logRegularizedIncompleteBeta({ p, q, x });
    const parts = logBeta({ p, q }) + upper - p * Math.log(x) - q * Math.log(1 - x);
    expectClose(logUpperBetaRelative({ p, q, x }), parts, { absolute: 1e-12 });
  }
});

test("the slowest case, a thousand million pairs in balance, takes milliseconds", () => {
  const startedAt = performance.now();
  for (let run = 0; run < 5; run++) {
    logRegularizedIncompleteBeta({ p: 5e8 + 1, q: 5e8 + 1, x: 0.5 });
  }
  expect((performance.now() - startedAt) / 5).toBeLessThan(200);
});

test.each([
  [0, 1, 0.5],
  [1, 0, 0.5],
  [1, 1, 0],
  [1, 1, 1],
  [1, Number.NaN, 0.5],
])("Beta(%p, %p) at %p is refused", (p, q, x) => {
  expect(() => logRegularizedIncompleteBeta({ p, q, x })).toThrow(RangeError);
  expect(() => logUpperBetaRelative({ p, q, x })).toThrow(RangeError);
});
