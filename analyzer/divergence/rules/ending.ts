import type { EndingName, Observation } from "../../observation/observation.ts";
import { type ComparedLegs, clientLeft, nameOf } from "../legs.ts";
import type { Divergence, Grade } from "../outcomes.ts";

/**
 * How the answers ended: complete, cut off, none at all.
 *
 * Not compared when the client left during one of them: what ended then was the user's patience.
 * High when the shadow broke off or never answered where the primary was complete: users would have
 * met it. Medium when the shadow was still streaming at the time limit (ours, so it may only be
 * slow), and when the shadow was complete where the primary was not. Low when both failed, each in
 * its own way.
 */
export function compareEnding(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (primary.ending === shadow.ending || clientLeft(legs)) return null;
  return {
    rule: "ending",
    grade: gradeOf(primary.ending, shadow.ending),
    primary: endingText(primary),
    shadow: endingText(shadow),
    sentence: `the ${nameOf(shadow)}'s answer ${DID[shadow.ending]}${because(shadow)} where the primary's ${DID[primary.ending]}${because(primary)}`,
  };
}

const DID: Readonly<Record<EndingName, string>> = {
  complete: "was complete",
  reset: "was cut off",
  "client-left": "was left by the client",
  "no-answer": "never came",
  streaming: "was still streaming at the time limit",
};

function gradeOf(primary: EndingName, shadow: EndingName): Grade {
  if (primary === "complete") return shadow === "streaming" ? "medium" : "high";
  return shadow === "complete" ? "medium" : "low";
}

const endingText = (leg: Observation): string => `${leg.ending}${because(leg)}`;

/** Envoy's word for it; a complete answer needs none. */
const because = ({ ending, failure }: Observation): string =>
  ending === "complete" || failure === "" ? "" : ` (${failure})`;
