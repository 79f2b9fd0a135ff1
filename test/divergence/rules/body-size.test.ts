import { expect, test } from "@jest/globals";
import { compareBodySize } from "../../../analyzer/divergence/rules/body-size.ts";
import type { Observation } from "../../../analyzer/observation/observation.ts";
import { observation } from "../../support/observation.ts";

const legs = (primary: number, shadow: number, changes: Partial<Observation> = {}) => ({
  primary: observation({ responseBytes: primary }),
  shadow: observation({ leg: "shadow", responseBytes: shadow, ...changes }),
});

test("a few bytes more are a low hint, twice as many are medium", () => {
  expect(compareBodySize(legs(1_290, 1_302))).toEqual({
    rule: "body-size",
    grade: "low",
    primary: "1,290 bytes",
    shadow: "1,302 bytes",
    sentence: "the shadow sent 1,302 bytes where the primary sent 1,290 bytes",
  });
  expect(compareBodySize(legs(100, 200))?.grade).toBe("medium");
  expect(compareBodySize(legs(200, 100))?.grade).toBe("medium");
  expect(compareBodySize(legs(100, 199))?.grade).toBe("low");
});

test("an empty body on one side only is high", () => {
  expect(compareBodySize(legs(1, 0))).toMatchObject({
    grade: "high",
    sentence: "the shadow sent an empty body where the primary sent 1 byte",
  });
  expect(compareBodySize(legs(0, 12))).toMatchObject({
    grade: "high",
    sentence: "the shadow sent 12 bytes where the primary sent an empty body",
  });
  expect(compareBodySize(legs(9, 0, { responseContentEncoding: "gzip" }))?.grade).toBe("high");
});

test("equal sizes, cut answers, other encodings and error pages are not compared", () => {
  expect(compareBodySize(legs(5, 5))).toBeNull();
  expect(compareBodySize(legs(5, 3, { ending: "reset" }))).toBeNull();
  expect(compareBodySize(legs(5, 3, { responseContentEncoding: "gzip" }))).toBeNull();
  expect(compareBodySize(legs(5, 3, { status: 500 }))).toBeNull();
  expect(compareBodySize(legs(5, 3, { cut: ["responseBytes"] }))).toBeNull();
});
