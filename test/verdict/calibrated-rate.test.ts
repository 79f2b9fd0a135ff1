import { expect, test } from "@jest/globals";
import { calibratedRate, oneSampleEvidence } from "../../analyzer/verdict/calibrated-rate.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";
import { readOracles } from "./oracles.ts";

const oracles = readOracles<{
  oneSample: { differing: number; pairs: number; rate: number; value: number }[];
}>("sequential");

test.each(oracles.oneSample)(
  "ln E of $differing of $pairs against $rate agrees with integration in 50 digits",
  ({ differing, pairs, rate, value }) => {
    const got = oneSampleEvidence({ differingCount: differing, pairCount: pairs, rate });
    expectClose(got, value, { absolute: pairs > 1e6 ? 1e-10 : 1e-12, relative: 1e-14 });
  },
);

test("published values", () => {
  expectClose(Math.exp(oneSampleEvidence({ differingCount: 1, pairCount: 1, rate: 0.01 })), 50.5, {
    absolute: 1e-10,
  });
  expectClose(
    Math.exp(oneSampleEvidence({ differingCount: 5, pairCount: 100, rate: 0.01 })),
    3.4493094,
    { absolute: 5e-8 },
  );
  expectClose(
    Math.exp(oneSampleEvidence({ differingCount: 0, pairCount: 50, rate: 0.01 })),
    0.019607843,
    { absolute: 5e-10 },
  );
  expect(oneSampleEvidence({ differingCount: 0, pairCount: 0, rate: 0.01 })).toBe(0);
});

test("at the rate itself the mean of E is 1, below it less", () => {
  for (const rate of [0.001, 0.05, 0.5, 0.9]) {
    for (const n of [1, 4, 25]) {
      const meanAt = (truth: number): number => {
        let mean = 0;
        let choose = 1;
        for (let k = 0; k <= n; k++) {
          mean +=
            choose *
            truth ** k *
            (1 - truth) ** (n - k) *
            Math.exp(oneSampleEvidence({ differingCount: k, pairCount: n, rate }));
          choose = (choose * (n - k)) / (k + 1);
        }
        return mean;
      };
      expectClose(meanAt(rate), 1, { absolute: 1e-12 });
      expect(meanAt(rate / 2)).toBeLessThan(1);
    }
  }
});

test("an A/A stage of 1,000 clean pairs bounds the noise at 0.368 %; 100 pairs never prove a shadow at 1 % worse", () => {
  const calibrated = calibratedRate({
    calibration: { differingCount: 0, pairCount: 1000 },
    observed: { differingCount: 23, pairCount: 2350 },
    alpha: 0.05,
  });
  expectClose(calibrated.rateMax, 0.00368, { absolute: 5e-6 });
  expectClose(calibrated.logThreshold, Math.log(40), { absolute: 1e-15 });
  expect(calibrated.logEvidence).toBeGreaterThan(calibrated.logThreshold);
  const poor = calibratedRate({
    calibration: { differingCount: 0, pairCount: 100 },
    observed: { differingCount: 1_000_000, pairCount: 100_000_000 },
    alpha: 0.05,
  });
  expect(poor.logEvidence).toBeLessThan(0);
});

test("without an A/A stage there is no evidence, however much differs", () => {
  const none = calibratedRate({
    calibration: { differingCount: 0, pairCount: 0 },
    observed: { differingCount: 500, pairCount: 500 },
    alpha: 0.05,
  });
  expect(none).toEqual({ rateMax: 1, logEvidence: 0, logThreshold: Math.log(2) - Math.log(0.05) });
});

test("600 runs of an A/A stage of 500 and 2,000 equal pairs watched one by one: at most 5 % false alarms", () => {
  const draws = new Draws(12);
  let falseAlarms = 0;
  for (let run = 0; run < 600; run++) {
    let differingCount = 0;
    for (let pair = 0; pair < 500; pair++) if (draws.happens(0.02)) differingCount++;
    const calibration = { differingCount, pairCount: 500 };
    let observed = 0;
    for (let n = 1; n <= 2000; n++) {
      // Evidence rises only with a differing pair, so the looks between cannot be the first alarm.
      if (!draws.happens(0.02)) continue;
      observed++;
      const { logEvidence, logThreshold } = calibratedRate({
        calibration,
        observed: { differingCount: observed, pairCount: n },
        alpha: 0.05,
      });
      if (logEvidence >= logThreshold) {
        falseAlarms++;
        break;
      }
    }
  }
  expect(falseAlarms / 600).toBeLessThanOrEqual(0.05);
}, 30_000);

test("impossible counts and rates are refused", () => {
  expect(() => oneSampleEvidence({ differingCount: 2, pairCount: 1, rate: 0.5 })).toThrow(
    "2 differing of 1 pairs",
  );
  expect(() => oneSampleEvidence({ differingCount: 0, pairCount: 1, rate: 0 })).toThrow(
    "rate is 0",
  );
});
