import { ENDING_COMPLETE, LEG_CONTROL } from "../../wire/format.ts";
import type { Observation } from "../observation/observation.ts";

/**
 * Two legs of one request. `shadow` is the one under test: a shadow, or the control when noise is
 * measured.
 */
export interface ComparedLegs {
  readonly primary: Observation;
  readonly shadow: Observation;
}

/** How a sentence calls the leg under test. */
export function nameOf({ leg }: Observation): "shadow" | "control" {
  return leg === LEG_CONTROL ? "control" : "shadow";
}

export const answered = ({ status }: Observation): boolean => status !== 0;

/** The answer was seen to its end: its body and its times are those of the whole answer. */
export const isComplete = (leg: Observation): boolean =>
  answered(leg) && leg.ending === ENDING_COMPLETE;

/** 2 for 200 to 299; 0 without an answer. */
export const statusClass = ({ status }: Observation): number => Math.floor(status / 100);

/**
 * Both legs gave the same kind of answer, so what is in them may be held against each other: the
 * same status class, and in gRPC both OK or both not.
 *
 * One cause, one finding: a shadow that answers 500 where the primary answers 200 also has another
 * body, another size and often another media type. Status says it once; the others would only say
 * that an error page is no result.
 */
export function sameKindOfAnswer({ primary, shadow }: ComparedLegs): boolean {
  return (
    answered(primary) &&
    statusClass(primary) === statusClass(shadow) &&
    (primary.grpcStatus === 0) === (shadow.grpcStatus === 0)
  );
}

/** The user's going away ended one of them: what lacks after that is nobody's doing. */
export function clientLeft({ primary, shadow }: ComparedLegs): boolean {
  return primary.ending === "client-left" || shadow.ending === "client-left";
}

/** The wire's names of fields cut at a limit. */
export function isCut(leg: Observation, field: string): boolean {
  return leg.cut.includes(field);
}
