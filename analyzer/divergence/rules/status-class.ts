import { answered, type ComparedLegs, nameOf, statusClass } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";

/**
 * The status changed its class: 2xx to 5xx, 4xx to 2xx.
 *
 * Of a change of class only this rule speaks, of a change within a class only `status`. No answer
 * at all is `ending`'s.
 *
 * High when the shadow is worse off (an error where the primary had none, a server's error where it
 * was the client's): that is what users would meet. Medium otherwise: a fix and a redirect are
 * changes to look at, not harm.
 */
export function compareStatusClass(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (!answered(primary) || !answered(shadow)) return null;
  if (statusClass(primary) === statusClass(shadow)) return null;
  return {
    rule: "status-class",
    grade: badness(statusClass(shadow)) > badness(statusClass(primary)) ? "high" : "medium",
    primary: String(primary.status),
    shadow: String(shadow.status),
    sentence: `the ${nameOf(shadow)} answered ${shadow.status} where the primary answered ${primary.status}`,
  };
}

/** 5xx and what is no HTTP class at all, 4xx, the others. */
function badness(statusClassNumber: number): number {
  if (statusClassNumber >= 5) return 2;
  return statusClassNumber === 4 ? 1 : 0;
}
