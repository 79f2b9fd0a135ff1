import { expect, test } from "@jest/globals";
import { compareEnding } from "../../../analyzer/divergence/rules/ending.ts";
import type { EndingName } from "../../../analyzer/observation/observation.ts";
import { observation, unanswered } from "../../support/observation.ts";

const legs = (primary: EndingName, shadow: EndingName) => ({
  primary: observation({ ending: primary }),
  shadow: observation({ leg: "shadow", ending: shadow }),
});

test("a shadow that never answers is high, with Envoy's reason", () => {
  const shadow = unanswered({ leg: "shadow", failure: "connection_failure" });
  expect(compareEnding({ primary: observation(), shadow })).toEqual({
    rule: "ending",
    grade: "high",
    primary: "complete",
    shadow: "no-answer (connection_failure)",
    sentence:
      "the shadow's answer never came (connection_failure) where the primary's was complete",
  });
});

test.each([
  ["complete", "reset", "high"],
  ["complete", "no-answer", "high"],
  ["complete", "streaming", "medium"],
  ["reset", "complete", "medium"],
  ["no-answer", "complete", "medium"],
  ["reset", "no-answer", "low"],
] as const)("%s against %s is %s", (primary, shadow, grade) => {
  expect(compareEnding(legs(primary, shadow))?.grade).toBe(grade);
});

test("the client's leaving is nobody's fault and not compared", () => {
  expect(compareEnding(legs("client-left", "complete"))).toBeNull();
  expect(compareEnding(legs("complete", "client-left"))).toBeNull();
});

test("the same ending is no divergence, whatever Envoy's reason for it", () => {
  const primary = unanswered({ failure: "connection_timeout" });
  const shadow = unanswered({ leg: "shadow", failure: "connection_failure" });
  expect(compareEnding({ primary, shadow })).toBeNull();
});
