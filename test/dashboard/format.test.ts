import { describe, expect, test } from "@jest/globals";
import {
  formatAge,
  formatAgo,
  formatBytes,
  formatCount,
  formatCountOf,
  formatFraction,
  formatRate,
  formatRatio,
  formatUs,
  joinWords,
  shortId,
} from "../../analyzer/dashboard/page/format.ts";

/** Figures and units are held together by a narrow space. */
const plain = (text: string) => text.replaceAll("\u202f", " ");

describe("a rate", () => {
  test.each([
    [382, 18_204, "2.1 %"],
    [3822, 18_204, "21.0 %"],
    [103, 18_204, "0.57 %"],
    [1, 18_204, "0.005 %"],
    [48, 4811, "1.0 %"],
    [2, 41, "5 %"],
    [1, 3, "33 %"],
    [120, 1000, "12.0 %"],
    [1, 3_000_000_000, "<0.0001 %"],
  ])("of %d in %d claims no more digits than the count carries", (part, of, text) => {
    expect(plain(formatRate(part, of))).toBe(text);
  });

  test("is 0 or 100 only when it is", () => {
    expect(plain(formatRate(0, 18_204))).toBe("0 %");
    expect(plain(formatRate(18_204, 18_204))).toBe("100 %");
    expect(plain(formatRate(18_203, 18_204))).toBe(">99.9 %");
  });

  test("of nothing is no number", () => {
    expect(formatRate(0, 0)).toBe("–");
  });
});

test("counts stay whole and are grouped", () => {
  expect(formatCount(18_204)).toBe("18,204");
  expect(formatCountOf(1, "pair")).toBe("1 pair");
  expect(formatCountOf(0, "pair")).toBe("0 pairs");
});

test("a configured fraction is shown as it was written", () => {
  expect(plain(formatFraction(1))).toBe("100 %");
  expect(plain(formatFraction(0.005))).toBe("0.5 %");
  expect(plain(formatFraction(0.07))).toBe("7 %");
});

test("durations come in the unit that a person would choose, with three digits", () => {
  expect([0, 840, 1000, 12_433, 999_499, 1_230_000, 90_000_000].map(formatUs).map(plain)).toEqual([
    "0 µs",
    "840 µs",
    "1.00 ms",
    "12.4 ms",
    "999 ms",
    "1.23 s",
    "1.5 min",
  ]);
});

test("ratios have two decimals, fewer when they are large", () => {
  expect([1.084, 12.34, 512.6].map(formatRatio)).toEqual(["1.08×", "12.3×", "513×"]);
  expect(formatRatio(Number.POSITIVE_INFINITY)).toBe("–");
});

test("bytes and ages are coarse on purpose", () => {
  expect([812, 2048, 3_500_000].map(formatBytes).map(plain)).toEqual([
    "812 B",
    "2.00 KiB",
    "3.34 MiB",
  ]);
  expect([0, 12_000, 240_000, 10_800_000, 432_000_000].map(formatAge).map(plain)).toEqual([
    "now",
    "12 s",
    "4 min",
    "3 h",
    "5 days",
  ]);
  expect(formatAgo(-500)).toBe("just now");
});

test("a shortened id keeps the end, where neighbours differ", () => {
  expect(shortId("019b7c00-0000-7000-8000-00000000002a")).toBe("…0000002a");
  expect(shortId("x")).toBe("x");
});

test("words are joined as a person would", () => {
  expect(joinWords([])).toBe("");
  expect(joinWords(["a"])).toBe("a");
  expect(joinWords(["a", "b", "c"])).toBe("a, b and c");
});
