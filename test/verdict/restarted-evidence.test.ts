import { expect, test } from "@jest/globals";
import { restartedEvidence } from "../../analyzer/verdict/restarted-evidence.ts";
import { sequentialMcnemar } from "../../analyzer/verdict/sequential-mcnemar.ts";
import { expectClose } from "./close.ts";
import { Draws } from "./draws.ts";

test("weights are 1/2, 1/6, 1/12, ... and starts still to come count as 1, so 1s stay 1", () => {
  expect(restartedEvidence([])).toBeCloseTo(0, 15);
  expectClose(restartedEvidence([0, 0, 0, 0]), 0, { absolute: 1e-15 });
  expectClose(restartedEvidence([Math.log(8), Math.log(6)]), Math.log(8 / 2 + 6 / 6 + 1 / 3), {
    absolute: 1e-15,
  });
});

test("a failure that begins late is found, where the evidence from the start is drowned", () => {
  // Ten hours of even flakes, then one hour in which the shadow loses 30 of 40.
  const whole = sequentialMcnemar({ worseCount: 5030, betterCount: 5010 });
  const last = sequentialMcnemar({ worseCount: 30, betterCount: 10 });
  expect(whole).toBeLessThan(Math.log(2));
  const starts = Array.from({ length: 11 }, (_, start) => (start === 10 ? last : whole));
  expect(restartedEvidence(starts)).toBeGreaterThan(Math.log(3));
  const longer = sequentialMcnemar({ worseCount: 60, betterCount: 20 });
  expect(restartedEvidence([...starts.slice(0, 10), longer])).toBeGreaterThan(Math.log(20));
});

test("400 runs of equal services, restarted every 50 differing pairs, watched throughout: at most 5 % false alarms", () => {
  const draws = new Draws(17);
  let falseAlarms = 0;
  for (let run = 0; run < 400; run++) {
    const parts: { worseCount: number; betterCount: number }[] = [];
    for (let n = 0; n < 500; n++) {
      if (n % 50 === 0) parts.push({ worseCount: 0, betterCount: 0 });
      const isWorse = draws.happens(0.5);
      for (const part of parts) {
        if (isWorse) part.worseCount++;
        else part.betterCount++;
      }
      if (restartedEvidence(parts.map((part) => sequentialMcnemar(part))) >= Math.log(20)) {
        falseAlarms++;
        break;
      }
    }
  }
  expect(falseAlarms / 400).toBeLessThanOrEqual(0.05);
}, 30_000);
