import { expect, test } from "@jest/globals";
import { bytesEqual, compareBodyDigest } from "../../../analyzer/divergence/rules/body-digest.ts";
import type { Observation } from "../../../analyzer/observation/observation.ts";
import { observation, unanswered } from "../../support/observation.ts";

const OTHER = "00000000000000000000000000000001";
const legs = (primary: Partial<Observation> = {}, shadow: Partial<Observation> = {}) => ({
  primary: observation(primary),
  shadow: observation({ leg: "shadow", responseDigest: OTHER, ...shadow }),
});

test("other bytes are found, medium: they may be a timestamp", () => {
  expect(compareBodyDigest(legs())).toMatchObject({
    rule: "body-digest",
    grade: "medium",
    shadow: OTHER,
    sentence: "the shadow's body differs from the primary's",
  });
});

test("equal digests mean equal bytes, whatever the encodings say", () => {
  const equal = legs({}, { responseDigest: observation().responseDigest });
  expect(compareBodyDigest(equal)).toBeNull();
  expect(bytesEqual(equal)).toBe(true);
});

test("an answer that was cut, never came or is of another kind is not compared", () => {
  expect(compareBodyDigest(legs({}, { ending: "reset" }))).toBeNull();
  expect(compareBodyDigest(legs({ ending: "client-left" }))).toBeNull();
  expect(compareBodyDigest({ primary: observation(), shadow: unanswered() })).toBeNull();
  expect(compareBodyDigest(legs({}, { status: 500 }))).toBeNull();
  expect(compareBodyDigest(legs({ grpcStatus: 0 }, { grpcStatus: 13 }))).toBeNull();
});

test("a digest that was marked as cut is never taken for equal nor for different", () => {
  const cut = legs({ cut: ["responseDigest"] }, { responseDigest: observation().responseDigest });
  expect(bytesEqual(cut)).toBeNull();
  expect(compareBodyDigest(legs({ cut: ["responseDigest"] }))).toBeNull();
});

test("bodies in different encodings are said not to be comparable, low", () => {
  expect(compareBodyDigest(legs({}, { responseContentEncoding: "gzip" }))).toMatchObject({
    grade: "low",
    primary: "identity-encoded",
    shadow: "gzip-encoded",
    sentence:
      "the shadow sent its body with content encoding gzip where the primary used identity, so the bodies cannot be compared",
  });
});

test("no encoding and identity are the same", () => {
  expect(compareBodyDigest(legs({}, { responseContentEncoding: "identity" }))?.grade).toBe(
    "medium",
  );
});

test("other bytes in the same encoding are low, because a compressor may do that alone", () => {
  const gzip = { responseContentEncoding: "gzip" };
  expect(compareBodyDigest(legs(gzip, gzip))).toMatchObject({
    grade: "low",
    sentence:
      "the shadow's body differs from the primary's as sent, with content encoding gzip: the content may still be equal",
  });
});
