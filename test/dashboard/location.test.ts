import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { askUrl } from "../../analyzer/dashboard/page/ask.ts";
import type { Place } from "../../analyzer/dashboard/page/location.ts";
import { formatPlace, HOME, parsePlace } from "../../analyzer/dashboard/page/location.ts";

test("a link to a place opens that place, whatever its names contain", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });
  const place: fc.Arbitrary<Place> = fc.record({
    experiment: text.filter((name) => name !== ""),
    run: text,
    shadow: text,
    window: text,
    method: text,
    route: text,
    rule: text,
    pair: text,
  });
  fc.assert(fc.property(place, (one) => expect(parsePlace(formatPlace(one))).toEqual(one)));
});

test("no link, an empty one and a broken one lead somewhere instead of to a blank page", () => {
  expect(parsePlace("")).toEqual(HOME);
  expect(parsePlace("#/")).toEqual(HOME);
  expect(formatPlace(HOME)).toBe("#/");
  expect(parsePlace("#/fraud%").experiment).toBe("fraud%");
  expect(parsePlace("#/fraud?pair=%E0%A4").experiment).toBe("fraud");
});

test("a time range moves with the time, in whole minutes, and empty choices are left out", () => {
  const ask = { path: "api/v1/x", query: { run: "", route: "/score/{…}" }, windowMinutes: 15 };
  const at = Date.UTC(2026, 0, 2, 3, 4, 59);
  expect(askUrl(ask, at)).toBe(
    "api/v1/x?route=%2Fscore%2F%7B%E2%80%A6%7D&from=2026-01-02T02%3A49%3A00.000Z",
  );
  expect(askUrl({ path: "health" }, at)).toBe("health");
});
