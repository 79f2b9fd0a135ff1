import type { Pair } from "../join/pair.ts";
import type { ComparedLegs } from "./legs.ts";
import type { Divergence, JudgedPair } from "./outcomes.ts";
import { compareBodyDigest } from "./rules/body-digest.ts";
import { compareBodySize } from "./rules/body-size.ts";
import { compareContentType } from "./rules/content-type.ts";
import { compareEnding } from "./rules/ending.ts";
import { compareGrpcStatus } from "./rules/grpc-status.ts";
import { compareLatency, type LatencySettings } from "./rules/latency.ts";
import { compareStatus } from "./rules/status.ts";
import { compareStatusClass } from "./rules/status-class.ts";

/** What an experiment sets about its rules; an experiment of the configuration is one. */
export interface RuleSettings {
  readonly latency: LatencySettings;
}

/** What decides whether a pair differs is first; each rule speaks at most once. */
const RULES: readonly ((legs: ComparedLegs, settings: RuleSettings) => Divergence | null)[] = [
  compareEnding,
  compareStatusClass,
  compareStatus,
  compareGrpcStatus,
  compareContentType,
  compareBodyDigest,
  compareBodySize,
  (legs, { latency }) => compareLatency(legs, latency),
];

const NONE: readonly Divergence[] = [];

/** What the rules find between two legs of one request; empty when nothing differs. */
export function compare({
  primary,
  shadow,
  rules,
}: ComparedLegs & { rules: RuleSettings }): readonly Divergence[] {
  const legs = { primary, shadow };
  let found: Divergence[] | null = null;
  for (const rule of RULES) {
    const divergence = rule(legs, rules);
    if (divergence === null) continue;
    if (found === null) found = [divergence];
    else found.push(divergence);
  }
  return found ?? NONE;
}

/**
 * The pair with its findings. Where a control answered too, the same rules between control and
 * primary measure the noise: what they find there has nothing to do with the new version.
 */
export function judge(pair: Pair, rules: RuleSettings): JudgedPair {
  const { primary, shadow, control } = pair;
  return {
    pair,
    divergences: compare({ primary, shadow, rules }),
    noise: control === null ? null : compare({ primary, shadow: control, rules }),
  };
}
