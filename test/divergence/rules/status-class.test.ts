import { expect, test } from "@jest/globals";
import { compareStatusClass } from "../../../analyzer/divergence/rules/status-class.ts";
import { observation, unanswered } from "../../support/observation.ts";

const legs = (primary: number, shadow: number) => ({
  primary: observation({ status: primary }),
  shadow: observation({ leg: "shadow", status: shadow }),
});

test("a shadow that fails where the primary succeeds is high, and the sentence says who answered what", () => {
  expect(compareStatusClass(legs(200, 500))).toEqual({
    rule: "status-class",
    grade: "high",
    primary: "200",
    shadow: "500",
    sentence: "the shadow answered 500 where the primary answered 200",
  });
});

test.each([
  [200, 404, "high"],
  [404, 503, "high"],
  [302, 400, "high"],
  [500, 200, "medium"],
  [500, 404, "medium"],
  [404, 200, "medium"],
  [200, 302, "medium"],
] as const)("%i against %i is %s", (primary, shadow, grade) => {
  expect(compareStatusClass(legs(primary, shadow))?.grade).toBe(grade);
});

test("another status of the same class is left to the rule status", () => {
  expect(compareStatusClass(legs(200, 204))).toBeNull();
});

test("no answer at all is left to the rule ending", () => {
  const shadow = unanswered({ leg: "shadow" });
  expect(compareStatusClass({ primary: observation(), shadow })).toBeNull();
});

test("noise is told of the control", () => {
  const { primary } = legs(200, 200);
  const shadow = observation({ leg: "control", status: 500 });
  expect(compareStatusClass({ primary, shadow })?.sentence).toBe(
    "the control answered 500 where the primary answered 200",
  );
});
