import { describe, expect, test } from "@jest/globals";
import {
  exactSequentialMcnemar,
  sequentialMcnemar,
} from "../../analyzer/verdict/sequential-mcnemar.ts";
import { expectClose } from "./close.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  sequentialMcnemar: { worse: number; better: number; prior: number; value: number }[];
  exactSequentialMcnemar: {
    worse: number;
    better: number;
    numerator: string;
    denominator: string;
    value: number;
  }[];
}>("sequential");

test.each(oracles.sequentialMcnemar)(
  "ln E of $worse worse, $better better, prior $prior agrees with integration in 50 digits",
  ({ worse, better, prior, value }) => {
    const got = sequentialMcnemar({ worseCount: worse, betterCount: better, prior });
    expectClose(got, value, {
      absolute: worse + better > 1e6 ? 1e-10 : 1e-12,
      relative: 1e-14,
    });
  },
);

test.each(oracles.exactSequentialMcnemar)(
  "E of $worse worse and $better better is exactly the fraction computed elsewhere",
  ({ worse, better, numerator, denominator, value }) => {
    const exact = exactSequentialMcnemar({ worseCount: worse, betterCount: better });
    expect(exact.numerator * BigInt(denominator)).toBe(exact.denominator * BigInt(numerator));
    expectClose(sequentialMcnemar({ worseCount: worse, betterCount: better }), value, {
      absolute: 1e-13,
      relative: 1e-14,
    });
  },
);

test("published values: E(36,14), E(7,0) with prior 2, ln E(50500,49500), a field that always differs", () => {
  expectClose(Math.exp(sequentialMcnemar({ worseCount: 36, betterCount: 14 })), 47.037462508, {
    absolute: 5e-10,
  });
  expectClose(
    Math.exp(sequentialMcnemar({ worseCount: 7, betterCount: 0, prior: 2 })),
    16.883333333,
    { absolute: 5e-10 },
  );
  expectClose(sequentialMcnemar({ worseCount: 50_500, betterCount: 49_500 }), 0.161718649, {
    absolute: 5e-10,
  });
  // 2^101/101, less the 1 that the part of the prior below 1/2 would have held.
  expectClose(
    sequentialMcnemar({ worseCount: 100, betterCount: 0 }),
    101 * Math.LN2 - Math.log(101),
    { absolute: 1e-12 },
  );
});

test("without a difference there is no evidence either way", () => {
  expect(sequentialMcnemar({ worseCount: 0, betterCount: 0 })).toBe(0);
  expect(sequentialMcnemar({ worseCount: 0, betterCount: 0, prior: 5 })).toBe(0);
});

describe("the bound on false alarms", () => {
  test("equal services: the mean of E is exactly 1 for every number of discordant pairs", () => {
    for (let n = 0; n <= 40; n++) {
      // Sum over b of C(n, b) 2^-n E(b, n - b), in whole numbers over a common denominator.
      let numerator = 0n;
      let denominator = 1n;
      let choose = 1n;
      for (let b = 0; b <= n; b++) {
        const evidence = exactSequentialMcnemar({ worseCount: b, betterCount: n - b });
        numerator = numerator * evidence.denominator + choose * evidence.numerator * denominator;
        denominator *= evidence.denominator;
        choose = (choose * BigInt(n - b)) / BigInt(b + 1);
      }
      expect(numerator).toBe(denominator * 2n ** BigInt(n));
    }
  });

  test.each([0.5, 1, 2, 5, 10])("and with prior %p, in floating point", (prior) => {
    for (const n of [1, 2, 5, 30, 200]) {
      let mean = 0;
      let logMass = -n * Math.LN2;
      for (let b = 0; b <= n; b++) {
        mean += Math.exp(logMass + sequentialMcnemar({ worseCount: b, betterCount: n - b, prior }));
        logMass += Math.log((n - b) / (b + 1));
      }
      expectClose(mean, 1, { absolute: 1e-11 });
    }
  });

  test("a shadow that wins more often than it loses has mean evidence below 1", () => {
    for (const theta of [0, 0.1, 0.3, 0.49]) {
      for (const n of [1, 5, 30]) {
        let mean = 0;
        let choose = 1;
        for (let b = 0; b <= n; b++) {
          mean +=
            choose *
            theta ** b *
            (1 - theta) ** (n - b) *
            Math.exp(sequentialMcnemar({ worseCount: b, betterCount: n - b }));
          choose = (choose * (n - b)) / (b + 1);
        }
        expect(mean).toBeLessThan(1);
      }
    }
  });

  // Exact dynamic programming over all sequences; the published figures have three decimals.
  test.each([
    [1, [0.025, 0.029, 0.036, 0.039]],
    [2, [0.023, 0.028, 0.039, 0.043]],
    [5, [0.014, 0.021, 0.036, 0.042]],
  ])(
    "prior %p, a look after every discordant pair up to 50, 100, 1,000, 10,000: false alarms as published",
    (prior, published) => {
      const crossed = crossingProbabilities({ theta: 0.5, prior, pairCountMax: 10_000 });
      [50, 100, 1_000, 10_000].forEach((count, index) => {
        expectClose(crossed[count] ?? Number.NaN, published[index] ?? Number.NaN, {
          absolute: 5.1e-4,
        });
      });
    },
    60_000,
  );
});

test("the smallest numbers of losses that reject at 0.05 are as published", () => {
  for (const [n, needed] of [
    [7, 7],
    [8, 8],
    [10, 10],
    [12, 11],
    [15, 13],
    [20, 16],
    [30, 23],
    [50, 36],
    [100, 65],
    [200, 122],
  ] as const) {
    const evidenceOf = (b: number): number =>
      sequentialMcnemar({ worseCount: b, betterCount: n - b });
    expect(evidenceOf(needed)).toBeGreaterThanOrEqual(Math.log(20));
    expect(evidenceOf(needed - 1)).toBeLessThan(Math.log(20));
  }
  for (const [threshold, needed] of [
    [20, 7],
    [100, 9],
    [400, 12],
    [4_000, 15],
    [20_000, 18],
  ] as const) {
    expect(sequentialMcnemar({ worseCount: needed, betterCount: 0 })).toBeGreaterThanOrEqual(
      Math.log(threshold),
    );
    expect(sequentialMcnemar({ worseCount: needed - 1, betterCount: 0 })).toBeLessThan(
      Math.log(threshold),
    );
  }
});

// Rows of the published table: median and 80 % quantile of discordant pairs until E >= 20, by exact computation.
test.each([
  [0.6, 1, 168, 325],
  [0.6, 5, 144, 276],
  [0.67, 1, 53, 100],
  [0.75, 1, 23, 43],
  [0.75, 10, 31, 46],
  [0.9, 1, 11, 14],
  [0.99, 1, 7, 7],
  [0.99, 5, 10, 10],
])(
  "theta %p, prior %p: found after %p discordant pairs in half of the runs, %p in 80 %%",
  (theta, prior, median, eighty) => {
    const crossed = crossingProbabilities({ theta, prior, pairCountMax: 400 });
    expect(crossed.findIndex((probability) => probability >= 0.5)).toBe(median);
    expect(crossed.findIndex((probability) => probability >= 0.8)).toBe(eighty);
  },
);

test("one more loss raises the evidence, one more win lowers it", () => {
  for (const prior of [0.5, 1, 5]) {
    for (const [worseCount, betterCount] of [
      [0, 0],
      [3, 9],
      [9, 3],
      [500, 510],
      [100_000, 99_000],
      [0, 400],
    ] as const) {
      const here = sequentialMcnemar({ worseCount, betterCount, prior });
      expect(sequentialMcnemar({ worseCount: worseCount + 1, betterCount, prior })).toBeGreaterThan(
        here,
      );
      expect(sequentialMcnemar({ worseCount, betterCount: betterCount + 1, prior })).toBeLessThan(
        here,
      );
    }
  }
});

test("impossible counts are refused and named", () => {
  expect(() => sequentialMcnemar({ worseCount: -1, betterCount: 0 })).toThrow(
    "worseCount is -1, expected a whole number",
  );
  expect(() => sequentialMcnemar({ worseCount: 0, betterCount: 1.5 })).toThrow(
    "betterCount is 1.5",
  );
  expect(() => sequentialMcnemar({ worseCount: 0, betterCount: Number.NaN })).toThrow(RangeError);
  expect(() => sequentialMcnemar({ worseCount: 1, betterCount: 0, prior: 0 })).toThrow(
    "prior is 0",
  );
  expect(() => exactSequentialMcnemar({ worseCount: 10_000, betterCount: 1 })).toThrow(RangeError);
});

/** P(E has reached 20 by n discordant pairs) for every n, exactly: mass moves over b, crossed mass leaves. */
function crossingProbabilities({
  theta,
  prior,
  pairCountMax,
}: {
  theta: number;
  prior: number;
  pairCountMax: number;
}): number[] {
  const crossed = [0];
  const mass = new Float64Array(pairCountMax + 2);
  mass[0] = 1;
  let total = 0;
  let boundary = 0; // smallest b that rejects; grows with n
  for (let n = 1; n <= pairCountMax; n++) {
    for (let b = Math.min(n, boundary + 1); b >= 0; b--) {
      mass[b] = (mass[b] ?? 0) * (1 - theta) + (b > 0 ? (mass[b - 1] ?? 0) * theta : 0);
    }
    while (
      boundary <= n &&
      sequentialMcnemar({ worseCount: boundary, betterCount: n - boundary, prior }) < Math.log(20)
    ) {
      boundary++;
    }
    for (let b = boundary; b <= Math.min(n, boundary + 1); b++) {
      total += mass[b] ?? 0;
      mass[b] = 0;
    }
    crossed.push(total);
  }
  return crossed;
}
