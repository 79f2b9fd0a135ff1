import { answered, type ComparedLegs, nameOf, statusClass } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";

/**
 * Another status of the same class: 200 and 201, 401 and 403. A change of class is
 * `status-class`'s.
 *
 * Medium: clients may tell such answers apart, most do not. Low among 5xx: both failed.
 */
export function compareStatus(legs: ComparedLegs): Divergence | null {
  const { primary, shadow } = legs;
  if (!answered(primary) || !answered(shadow)) return null;
  if (primary.status === shadow.status || statusClass(primary) !== statusClass(shadow)) return null;
  return {
    rule: "status",
    grade: statusClass(primary) >= 5 ? "low" : "medium",
    primary: String(primary.status),
    shadow: String(shadow.status),
    sentence: `the ${nameOf(shadow)} answered ${shadow.status} where the primary answered ${primary.status}`,
  };
}
