import type { RuleCount, SummaryResponse } from "../../http/schemas.ts";
import { formatCount, formatCountOf, formatRate } from "./format.ts";
import { rule } from "./words.ts";

interface HeadedRoute {
  readonly method: string;
  readonly route: string;
  readonly divergentPairs: number;
  readonly rules: readonly Pick<RuleCount, "pairs" | "noisePairs">[];
}

type Headed = Pick<SummaryResponse, "pairs" | "divergentPairs" | "controlPairs"> & {
  readonly routes: readonly HeadedRoute[];
};

/**
 * `18,204 pairs; 2.1 % differ; mostly on POST /score`. Says what was counted, judges nothing. With a control it points to where
 * the shadow differs more often than the control, not to the noisiest route.
 */
export function headline(summary: Headed): string {
  const { pairs, divergentPairs, controlPairs, routes } = summary;
  if (pairs === 0) return "No pairs yet";
  const counted = formatCountOf(pairs, "pair");
  if (divergentPairs === 0) return `${counted}; none differs`;
  const differ = `${counted}; ${formatRate(divergentPairs, pairs)} differ`;
  if (controlPairs > 0) return `${differ}; ${placeBeyondNoise(routes)}`;
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

function placeBeyondNoise(routes: readonly HeadedRoute[]): string {
  const beyond = routes
    .map((one) => ({
      one,
      pairs: Math.max(0, ...one.rules.map((found) => found.pairs - (found.noisePairs ?? 0))),
    }))
    .reduce<{ one: HeadedRoute; pairs: number } | null>(
      (most, next) => (next.pairs > (most?.pairs ?? 0) ? next : most),
      null,
    );
  if (beyond === null) return "on no route more often than the control";
  const name = `${beyond.one.method} ${beyond.one.route}`;
  return routes.length === 1 ? `beyond noise on ${name}` : `beyond noise most on ${name}`;
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
