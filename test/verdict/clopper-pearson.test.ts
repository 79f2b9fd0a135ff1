import { expect, test } from "@jest/globals";
import {
  clopperPearsonLower,
  clopperPearsonUpper,
} from "../../analyzer/verdict/clopper-pearson.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  clopperPearson: { events: number; pairs: number; alpha: number; lower: number; upper: number }[];
}>("fixed-sample");

test.each(oracles.clopperPearson)(
  "$events of $pairs at $alpha: both limits agree with SciPy",
  ({ events, pairs, alpha, lower, upper }) => {
    const relative = pairs > 1e6 ? 1e-10 : 1e-12;
    expectClose(clopperPearsonLower({ eventCount: events, pairCount: pairs, alpha }), lower, {
      relative,
    });
    expectClose(clopperPearsonUpper({ eventCount: events, pairCount: pairs, alpha }), upper, {
      relative,
    });
  },
);

test("no events in 2,995 pairs prove less than 0.1 % at 95 %, in 2,994 they do not", () => {
  expect(clopperPearsonUpper({ eventCount: 0, pairCount: 2995, alpha: 0.05 })).toBeLessThan(0.001);
  expect(clopperPearsonUpper({ eventCount: 0, pairCount: 2994, alpha: 0.05 })).toBeGreaterThan(
    0.001,
  );
  // The bound of an A/A stage of 1,000 pairs at alpha 0.05, half of it for this step.
  expectClose(clopperPearsonUpper({ eventCount: 0, pairCount: 1000, alpha: 0.025 }), 0.00368, {
    absolute: 5e-6,
  });
});

test("with the limit as the true rate, so few events have probability alpha", () => {
  for (const [eventCount, pairCount] of [
    [1, 5],
    [3, 20],
    [10, 30],
  ] as const) {
    const upper = clopperPearsonUpper({ eventCount, pairCount, alpha: 0.05 });
    let probability = 0;
    let choose = 1;
    for (let k = 0; k <= eventCount; k++) {
      probability += choose * upper ** k * (1 - upper) ** (pairCount - k);
      choose = (choose * (pairCount - k)) / (k + 1);
    }
    expectClose(probability, 0.05, { relative: 1e-12 });
  }
});

test("the limits of a rate and of its complement mirror each other; without pairs nothing is known", () => {
  const upper = clopperPearsonUpper({ eventCount: 30, pairCount: 100, alpha: 0.01 });
  expectClose(clopperPearsonLower({ eventCount: 70, pairCount: 100, alpha: 0.01 }), 1 - upper, {
    relative: 1e-12,
  });
  expect(clopperPearsonUpper({ eventCount: 0, pairCount: 0, alpha: 0.05 })).toBe(1);
  expect(clopperPearsonLower({ eventCount: 0, pairCount: 0, alpha: 0.05 })).toBe(0);
  expect(() => clopperPearsonUpper({ eventCount: 2, pairCount: 1, alpha: 0.05 })).toThrow(
    "2 events in 1 pairs",
  );
  expect(() => clopperPearsonLower({ eventCount: 1, pairCount: 1, alpha: 1 })).toThrow(
    "alpha is 1",
  );
});
