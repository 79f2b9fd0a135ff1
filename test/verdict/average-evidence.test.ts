import { expect, test } from "@jest/globals";
import { averageEvidence } from "../../analyzer/verdict/average-evidence.ts";
import { expectClose } from "./close.ts";

test("the mean of evidences, in logarithms that may be beyond any number", () => {
  expectClose(averageEvidence([Math.log(1), Math.log(3)]), Math.log(2), { absolute: 1e-15 });
  expectClose(averageEvidence([2000, 0]), 2000 - Math.LN2, { relative: 1e-15 });
  expect(averageEvidence([])).toBe(0);
  expect(averageEvidence([-Infinity])).toBe(-Infinity);
});
