import { expect, test } from "@jest/globals";
import { compareStatus } from "../../../analyzer/divergence/rules/status.ts";
import { observation, unanswered } from "../../support/observation.ts";

const legs = (primary: number, shadow: number) => ({
  primary: observation({ status: primary }),
  shadow: observation({ leg: "shadow", status: shadow }),
});

test("another status of the same class is found", () => {
  expect(compareStatus(legs(401, 403))).toEqual({
    rule: "status",
    grade: "medium",
    primary: "401",
    shadow: "403",
    sentence: "the shadow answered 403 where the primary answered 401",
  });
});

test("two ways to fail on the server's side are low", () => {
  expect(compareStatus(legs(500, 503))?.grade).toBe("low");
});

test("equal statuses are no divergence, and a change of class is not counted a second time here", () => {
  expect(compareStatus(legs(200, 200))).toBeNull();
  expect(compareStatus(legs(200, 500))).toBeNull();
});

test("no answer at all is left to the rule ending", () => {
  expect(compareStatus({ primary: observation(), shadow: unanswered() })).toBeNull();
});
