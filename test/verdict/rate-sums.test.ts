import { expect, test } from "@jest/globals";
import {
  addRateSums,
  NO_RATE,
  type RateSums,
  requireRateSums,
} from "../../analyzer/verdict/rate-sums.ts";
import { Draws } from "./draws.ts";

test("any order and any grouping of additions gives the same sums", () => {
  const draws = new Draws(3);
  const parts: RateSums[] = Array.from({ length: 200 }, () => {
    const worseCount = Math.floor(draws.uniform() * 50);
    const betterCount = Math.floor(draws.uniform() * 50);
    return { pairCount: worseCount + betterCount + 100, worseCount, betterCount };
  });
  const whole = parts.reduce(addRateSums, NO_RATE);
  const shuffled = draws.shuffled(parts);
  const shards = [0, 1, 2].map((shard) =>
    shuffled.filter((_, index) => index % 3 === shard).reduce(addRateSums, NO_RATE),
  );
  expect(shards.reduce(addRateSums, NO_RATE)).toEqual(whole);
});

test("more events than pairs, fractions and negative counts are refused", () => {
  expect(() => requireRateSums({ pairCount: 1, worseCount: 1, betterCount: 1 })).toThrow(
    RangeError,
  );
  expect(() => requireRateSums({ pairCount: 1.5, worseCount: 1, betterCount: 0 })).toThrow(
    "pairCount is 1.5",
  );
  expect(() => requireRateSums({ pairCount: 1, worseCount: -1, betterCount: 0 })).toThrow(
    RangeError,
  );
  expect(() => requireRateSums({ pairCount: 2, worseCount: 1, betterCount: 1 })).not.toThrow();
});
