import { type ComparedLegs, isComplete, isCut, nameOf, sameKindOfAnswer } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";
import { bytesText } from "../text.ts";
import { encodingOf } from "./body-digest.ts";

/** From here on the size itself is news and not just a hint for how much of the body differs. */
const RATIO_NOTABLE = 2;

/**
 * How much the response bodies differ in size: a hint beside `body-digest`, which finds every one
 * of these pairs too.
 *
 * Only between answers of the same kind, seen to their end, in the same encoding. High when one
 * body is empty and the other is not: the answer itself is missing or new. Medium from a factor of
 * two on, low below.
 */
export function compareBodySize(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (!sameKindOfAnswer(legs) || !isComplete(primary) || !isComplete(shadow)) return null;
  if (isCut(primary, "responseBytes") || isCut(shadow, "responseBytes")) return null;
  const ours = primary.responseBytes;
  const theirs = shadow.responseBytes;
  // An empty body is empty in every encoding.
  const comparable = encodingOf(primary) === encodingOf(shadow) || ours === 0 || theirs === 0;
  if (ours === theirs || !comparable) return null;
  const less = Math.min(ours, theirs);
  const more = Math.max(ours, theirs);
  const who = nameOf(shadow);
  return {
    rule: "body-size",
    grade: less === 0 ? "high" : more >= less * RATIO_NOTABLE ? "medium" : "low",
    primary: bytesText(ours),
    shadow: bytesText(theirs),
    sentence:
      theirs === 0
        ? `the ${who} sent an empty body where the primary sent ${bytesText(ours)}`
        : `the ${who} sent ${bytesText(theirs)} where the primary sent ${ours === 0 ? "an empty body" : bytesText(ours)}`,
  };
}
