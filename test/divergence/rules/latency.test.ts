import { expect, test } from "@jest/globals";
import { compareLatency } from "../../../analyzer/divergence/rules/latency.ts";
import type { Observation } from "../../../analyzer/observation/observation.ts";
import { observation } from "../../support/observation.ts";

const settings = { ratioMax: 3, differenceUsMin: 20_000 };
const legs = (primary: number, shadow: number, changes: Partial<Observation> = {}) => ({
  primary: observation({ totalUs: primary }),
  shadow: observation({ leg: "shadow", totalUs: shadow, ...changes }),
});

test("much slower by ratio and by difference is found, always low: one answer is weather", () => {
  expect(compareLatency(legs(20_000, 120_000), settings)).toEqual({
    rule: "latency",
    grade: "low",
    primary: "20.0 ms",
    shadow: "120 ms",
    sentence: "the shadow took 120 ms where the primary took 20.0 ms (6.00 times as long)",
  });
});

test("a ratio of exactly ratioMax and a difference of exactly differenceUsMin are no divergence", () => {
  expect(compareLatency(legs(20_000, 60_000), settings)).toBeNull();
  expect(compareLatency(legs(20_000, 60_001), settings)).not.toBeNull();
  expect(compareLatency(legs(1_000, 21_000), settings)).toBeNull();
  expect(compareLatency(legs(1_000, 21_001), settings)).not.toBeNull();
});

test("a faster shadow is no divergence", () => {
  expect(compareLatency(legs(120_000, 20_000), settings)).toBeNull();
});

test("an answer that was cut says nothing about time, a slow error does", () => {
  expect(compareLatency(legs(20_000, 900_000, { ending: "streaming" }), settings)).toBeNull();
  expect(compareLatency(legs(20_000, 900_000, { status: 500 }), settings)).not.toBeNull();
});

test("a primary that took no measurable time is compared without a ratio in words", () => {
  expect(compareLatency(legs(0, 1_500_000), settings)?.sentence).toBe(
    "the shadow took 1.50 s where the primary took 0 µs",
  );
});
