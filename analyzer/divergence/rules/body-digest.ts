import type { Observation } from "../../observation/observation.ts";
import { type ComparedLegs, isComplete, isCut, nameOf, sameKindOfAnswer } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";

/**
 * Whether the two response bodies are the same bytes; null when that cannot be said: an answer was
 * not seen to its end, or its digest was marked as cut.
 *
 * Equal digests mean equal bytes: 128 bits under a key that neither server knows.
 */
export function bytesEqual({ primary, shadow }: ComparedLegs): boolean | null {
  if (!isComplete(primary) || !isComplete(shadow)) return null;
  if (isCut(primary, "responseDigest") || isCut(shadow, "responseDigest")) return null;
  return primary.responseDigest === shadow.responseDigest;
}

/**
 * The response bodies' bytes, by their keyed digests.
 *
 * Only between answers of the same kind that were seen to their end. Where the encodings differ
 * (gzip against plain), other bytes are no news and equal content cannot be seen: the finding then
 * says just that, low. Low as well where both are encoded alike: another compressor or level writes
 * other bytes for the same content. Else medium, never high: that bytes differ says that something
 * differs (it may be a timestamp), not that it matters.
 */
export function compareBodyDigest(legs: ComparedLegs): Divergence | null {
  if (!sameKindOfAnswer(legs) || bytesEqual(legs) !== false) return null;
  const { primary, shadow } = legs;
  const ours = encodingOf(primary);
  const theirs = encodingOf(shadow);
  const who = nameOf(shadow);
  if (ours !== theirs) {
    return {
      rule: "body-digest",
      grade: "low",
      primary: `${ours}-encoded`,
      shadow: `${theirs}-encoded`,
      sentence: `the ${who} sent its body with content encoding ${theirs} where the primary used ${ours}, so the bodies cannot be compared`,
    };
  }
  return {
    rule: "body-digest",
    grade: ours === IDENTITY ? "medium" : "low",
    primary: primary.responseDigest,
    shadow: shadow.responseDigest,
    sentence:
      ours === IDENTITY
        ? `the ${who}'s body differs from the primary's`
        : `the ${who}'s body differs from the primary's as sent, with content encoding ${ours}: the content may still be equal`,
  };
}

const IDENTITY = "identity";

/** No encoding and `identity` are the same (RFC 9110, 8.4.1). */
export function encodingOf({ responseContentEncoding }: Observation): string {
  return responseContentEncoding === null || responseContentEncoding === ""
    ? IDENTITY
    : responseContentEncoding;
}
