import { describe, expect, test } from "@jest/globals";
import { didYouMean, nearestName } from "../../analyzer/config/nearest.ts";

const KNOWN = ["sampleFraction", "segments", "shadows", "primary", "http"];

describe("the nearest known name", () => {
  test.each([
    ["sampelFraction", "sampleFraction"],
    ["SAMPLEFRACTION", "sampleFraction"],
    ["segment", "segments"],
    ["shadow", "shadows"],
    ["primry", "primary"],
    ["htpt", "http"],
  ])("for %s is %s", (typed, expected) => {
    expect(nearestName(typed, KNOWN)).toBe(expected);
  });

  test("is none when nothing is near, so nobody is sent astray", () => {
    expect(nearestName("zebra", KNOWN)).toBeNull();
    expect(nearestName("", KNOWN)).toBeNull();
    expect(nearestName("x".repeat(100_000), KNOWN)).toBeNull();
  });

  test("reads as a question", () => {
    expect(didYouMean("primay", KNOWN)).toBe("; did you mean primary?");
    expect(didYouMean("zebra", KNOWN)).toBe("");
  });
});
