import type { RuleCount, SummaryResponse } from "../../http/schemas.ts";
import { formatCount, formatCountOf, formatRate } from "./format.ts";
import { rule } from "./words.ts";

type Headed = Pick<SummaryResponse, "pairs" | "divergentPairs"> & {
  readonly routes: readonly { method: string; route: string; divergentPairs: number }[];
};

/** `18,204 pairs; 2.1 % differ; mostly on POST /score`. Says what was counted, judges nothing. */
export function headline(summary: Headed): string {
  const { pairs, divergentPairs, routes } = summary;
  if (pairs === 0) return "No pairs yet";
  const counted = formatCountOf(pairs, "pair");
  if (divergentPairs === 0) return `${counted}; none differs`;
  const differ = `${counted}; ${formatRate(divergentPairs, pairs)} differ`;
  const divergent = routes.filter((one) => one.divergentPairs > 0);
  const top = divergent.reduce<(typeof divergent)[number] | null>(
    (most, one) => (most === null || one.divergentPairs > most.divergentPairs ? one : most),
    null,
  );
  if (top === null || routes.length === 1) return differ;
  const name = `${top.method} ${top.route}`;
  if (divergent.length === 1) return `${differ}; all on ${name}`;
  if (top.divergentPairs > divergentPairs / 2) return `${differ}; mostly on ${name}`;
  return `${differ}; on ${formatCount(divergent.length)} routes, most on ${name}`;
}

/**
 * Rules in the order in which a person should look: most beyond the control's own rate first; without a control
 * by rate. An order for reading, no test of significance.
 */
export function byExcess(rules: readonly RuleCount[]): RuleCount[] {
  return [...rules].sort((a, b) => excess(b) - excess(a) || b.pairs - a.pairs);
}

export function excess(one: Pick<RuleCount, "rate" | "noiseRate">): number {
  return one.rate - (one.noiseRate ?? 0);
}

/** The second line: what stands beyond the noise, with both figures. */
export function noiseLine(summary: {
  readonly pairs: number;
  readonly controlPairs: number;
  readonly rules: readonly RuleCount[];
}): string {
  if (summary.pairs === 0) return "";
  if (summary.controlPairs === 0) {
    return "Without a control nobody knows how much of this is noise, such as timestamps and request ids.";
  }
  const beyond = byExcess(summary.rules).filter((one) => excess(one) > 0);
  if (beyond.length === 0) return "No rule finds more in the shadow than in the control.";
  const words = beyond.slice(0, 3).map((one) => {
    const shadow = formatRate(one.pairs, summary.pairs);
    const control = formatRate(one.noisePairs ?? 0, summary.controlPairs);
    return `${rule(one.rule).label} ${shadow} (control ${control})`;
  });
  return `Most beyond the control's noise: ${words.join(", ")}.`;
}
