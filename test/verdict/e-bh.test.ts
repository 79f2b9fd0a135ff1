import { expect, test } from "@jest/globals";
import { eBenjaminiHochberg } from "../../analyzer/verdict/e-bh.ts";
import { sequentialMcnemar } from "../../analyzer/verdict/sequential-mcnemar.ts";
import { Draws } from "./draws.ts";

const logs = (...evidences: number[]): number[] => evidences.map(Math.log);

test("published: of 50, 3, 120, 0.5, 25, 8 at 0.05 only 120 is named", () => {
  expect(eBenjaminiHochberg({ logEvidences: logs(50, 3, 120, 0.5, 25, 8), alpha: 0.05 })).toEqual([
    2,
  ]);
});

test("evidence that does not suffice alone suffices in company", () => {
  expect(eBenjaminiHochberg({ logEvidences: logs(59), alpha: 0.05, hypothesisCount: 3 })).toEqual(
    [],
  );
  expect(eBenjaminiHochberg({ logEvidences: logs(31, 0, 31), alpha: 0.05 })).toEqual([0, 2]);
  expect(eBenjaminiHochberg({ logEvidences: logs(21, 22, 23), alpha: 0.05 })).toEqual([0, 1, 2]);
});

test("it is its definition: the largest k whose k-th evidence times k/K reaches 1/alpha", () => {
  const draws = new Draws(31);
  for (let round = 0; round < 500; round++) {
    const evidences = Array.from({ length: 1 + Math.floor(draws.uniform() * 12) }, () =>
      Math.exp(2 + 2 * draws.normal()),
    );
    const sorted = [...evidences].sort((left, right) => right - left);
    let named = 0;
    sorted.forEach((evidence, index) => {
      if ((evidence * (index + 1)) / evidences.length >= 20) named = index + 1;
    });
    const threshold = named === 0 ? Infinity : (sorted[named - 1] ?? Infinity);
    const expected = evidences.flatMap((evidence, index) => (evidence >= threshold ? [index] : []));
    expect(eBenjaminiHochberg({ logEvidences: logs(...evidences), alpha: 0.05 })).toEqual(expected);
  }
});

test("nothing in, nothing named; fields not given count as looked at; nonsense is refused", () => {
  expect(eBenjaminiHochberg({ logEvidences: [], alpha: 0.05 })).toEqual([]);
  expect(eBenjaminiHochberg({ logEvidences: [-Infinity, Infinity], alpha: 0.05 })).toEqual([1]);
  expect(eBenjaminiHochberg({ logEvidences: logs(100), alpha: 0.05, hypothesisCount: 5 })).toEqual([
    0,
  ]);
  expect(eBenjaminiHochberg({ logEvidences: logs(99), alpha: 0.05, hypothesisCount: 5 })).toEqual(
    [],
  );
  expect(() => eBenjaminiHochberg({ logEvidences: [Number.NaN], alpha: 0.05 })).toThrow(RangeError);
  expect(() =>
    eBenjaminiHochberg({ logEvidences: [1, 2], alpha: 0.05, hypothesisCount: 1 }),
  ).toThrow("at least the 2");
});

test("40 fields, 4 of them changed, a look after every 25 pairs: of those named at the worst look at most 5 % are wrong", () => {
  const draws = new Draws(8);
  let sumOfShares = 0;
  const runs = 100;
  for (let run = 0; run < runs; run++) {
    const counts = Array.from({ length: 40 }, () => ({ worseCount: 0, betterCount: 0 }));
    let worst = 0;
    for (let n = 1; n <= 500; n++) {
      counts.forEach((count, field) => {
        const draw = draws.uniform();
        if (draw < (field < 4 ? 0.35 : 0.2)) count.worseCount++;
        else if (draw > 0.8) count.betterCount++;
      });
      if (n % 25 !== 0) continue;
      const named = eBenjaminiHochberg({
        logEvidences: counts.map((count) => sequentialMcnemar(count)),
        alpha: 0.05,
      });
      if (named.length > 0)
        worst = Math.max(worst, named.filter((field) => field >= 4).length / named.length);
    }
    sumOfShares += worst;
  }
  expect(sumOfShares / runs).toBeLessThanOrEqual(0.05);
}, 30_000);
