import { type ComparedLegs, nameOf, sameKindOfAnswer } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";

/**
 * The response's media type, without parameters.
 *
 * Only between answers of the same kind (legs.ts): error pages have types of their own. A type that
 * was cut at its limit can still be seen to differ in what is left of it.
 *
 * Medium when both have one: a client that goes by it reads the answer in another way. Low when one
 * has none: most clients then guess right.
 */
export function compareContentType(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (!sameKindOfAnswer(legs)) return null;
  const ours = primary.responseContentType;
  const theirs = shadow.responseContentType;
  if (ours === theirs) return null;
  return {
    rule: "content-type",
    grade: ours === null || theirs === null ? "low" : "medium",
    primary: ours ?? "none",
    shadow: theirs ?? "none",
    sentence: `the ${nameOf(shadow)} sent ${theirs ?? "no content type"} where the primary sent ${ours ?? "none"}`,
  };
}
