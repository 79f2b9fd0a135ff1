import { expect, test } from "@jest/globals";
import { compareContentType } from "../../../analyzer/divergence/rules/content-type.ts";
import { observation } from "../../support/observation.ts";

const legs = (primary: string | null, shadow: string | null, status = 200) => ({
  primary: observation({ responseContentType: primary }),
  shadow: observation({ leg: "shadow", responseContentType: shadow, status }),
});

test("another media type is found", () => {
  expect(compareContentType(legs("application/json", "text/html"))).toEqual({
    rule: "content-type",
    grade: "medium",
    primary: "application/json",
    shadow: "text/html",
    sentence: "the shadow sent text/html where the primary sent application/json",
  });
});

test("a missing media type is low, on either side", () => {
  expect(compareContentType(legs("text/html", null))).toMatchObject({
    grade: "low",
    shadow: "none",
    sentence: "the shadow sent no content type where the primary sent text/html",
  });
  expect(compareContentType(legs(null, "text/html"))?.sentence).toBe(
    "the shadow sent text/html where the primary sent none",
  );
});

test("equal types, or none on both sides, are no divergence", () => {
  expect(compareContentType(legs("text/html", "text/html"))).toBeNull();
  expect(compareContentType(legs(null, null))).toBeNull();
});

test("an error page's type is not held against a result's", () => {
  expect(compareContentType(legs("application/json", "text/html", 500))).toBeNull();
});
