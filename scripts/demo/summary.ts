import type {
  AccountingResponse,
  RouteSummary,
  SummaryResponse,
} from "../../analyzer/http/schemas.ts";
import { bodyDiffers, type Planted } from "./scoring.ts";

/** How many of the requests that were sent (and can be sampled) had each difference planted in them. */
export class PlantedCounts {
  requests = 0;
  rounding = 0;
  missingField = 0;
  errors = 0;
  slow = 0;
  noisy = 0;
  bodies = 0;
  /** Sent without a length: Shadowgraph does not sample them. */
  unknownLength = 0;

  add(planted: Planted, chunked: boolean): void {
    if (chunked) {
      this.unknownLength += 1;
      return;
    }
    this.requests += 1;
    if (planted.rounding) this.rounding += 1;
    if (planted.missingField) this.missingField += 1;
    if (planted.error) this.errors += 1;
    if (planted.slow) this.slow += 1;
    if (planted.noise) this.noisy += 1;
    if (bodyDiffers(planted)) this.bodies += 1;
  }
}

export interface SummaryParts {
  readonly sent: number;
  readonly seconds: number;
  /** What users got. */
  readonly failed: number;
  readonly userP50Ms: number;
  readonly userP99Ms: number;
  readonly planted: PlantedCounts;
  readonly summary: SummaryResponse;
  readonly accounting: AccountingResponse;
}

/** What came out, in words. */
export function summaryText(parts: SummaryParts): string {
  const { summary, accounting, planted } = parts;
  const lines = [
    "",
    `After ${number(parts.sent)} requests in ${parts.seconds.toFixed(0)} s`,
    "",
    `  users        ${number(parts.sent - parts.failed)} answered, ${number(parts.failed)} without an answer; ${parts.userP50Ms.toFixed(1)} ms at the median, ${parts.userP99Ms.toFixed(1)} ms at p99`,
    `  sampled      ${number(accounting.requests.sampled)} of ${number(accounting.requests.seen)}${reasons(accounting.requests.unsampled, "; left out: ")}`,
    `  paired       ${number(summary.pairs)}${reasons(summary.orphans, "; orphans: ", "; no orphans")}`,
    `  accounting   ${accounting.sentence}`,
    `  divergent    ${number(summary.divergentPairs)} pairs (${percent(summary.divergentPairs, summary.pairs)}), noise included`,
    "",
    "  By route                        pairs   divergent   by rule: shadow against primary (control against primary)",
  ];
  for (const route of summary.routes) lines.push(...routeLines(route));
  lines.push(
    "",
    "  Latency ratio            p50     p95     p99",
    ratioLine("shadow / primary", summary.latencyRatio),
  );
  if (summary.controlLatencyRatio !== null) {
    lines.push(ratioLine("control / primary", summary.controlLatencyRatio));
  }
  lines.push(
    "",
    "  What was planted in v2                                          pairs    found as",
    plantedLine(
      "500 for one in 40 posts from India",
      planted.errors,
      "status-class",
      rule(summary, "status-class"),
    ),
    plantedLine(
      "scores rounded to even, or no exchangeRate for Brazil",
      planted.bodies,
      "body-digest without noise",
      bodyWithoutNoise(summary),
    ),
    plantedLine("  of them rounded differently", planted.rounding, "", null),
    plantedLine("  of them without exchangeRate", planted.missingField, "", null),
    plantedLine("90 to 150 ms slower", planted.slow, "latency", rule(summary, "latency")),
    plantedLine(
      "timestamps and request ids (in v1 too: noise)",
      planted.noisy,
      "body-digest of the control",
      noise(summary, "body-digest"),
    ),
    "",
  );
  return `${lines.join("\n")}\n`;
}

function routeLines(route: RouteSummary): string[] {
  const name = `${route.method} ${route.route}`;
  const rules = route.rules
    .filter((one) => one.pairs > 0 || (one.noisePairs ?? 0) > 0)
    .map((one) => `${one.rule} ${number(one.pairs)} (${number(one.noisePairs ?? 0)})`);
  const figures = `${number(route.pairs).padStart(6)}   ${percent(route.divergentPairs, route.pairs).padStart(9)}`;
  return [`    ${name.padEnd(27)} ${figures}   ${rules.join(", ") || "nothing"}`];
}

function ratioLine(
  title: string,
  ratio: { p50: number | null; p95: number | null; p99: number | null },
): string {
  const cell = (value: number | null): string =>
    (value === null ? "–" : value.toFixed(2)).padStart(6);
  return `    ${title.padEnd(18)} ${cell(ratio.p50)}  ${cell(ratio.p95)}  ${cell(ratio.p99)}`;
}

function plantedLine(what: string, count: number, foundAs: string, found: number | null): string {
  const end = found === null ? foundAs : `${foundAs} ${number(found)}`;
  return `    ${what.padEnd(60)} ${number(count).padStart(6)}    ${end}`.trimEnd();
}

function rule(summary: SummaryResponse, name: string): number {
  return summary.rules.find((one) => one.rule === name)?.pairs ?? 0;
}

function noise(summary: SummaryResponse, name: string): number {
  return summary.rules.find((one) => one.rule === name)?.noisePairs ?? 0;
}

/** Of the routes on which the control never differs. */
function bodyWithoutNoise(summary: SummaryResponse): number {
  return summary.routes
    .map((route) => route.rules.find((one) => one.rule === "body-digest"))
    .filter((one) => one !== undefined && (one.noisePairs ?? 0) === 0)
    .reduce((sum, one) => sum + (one?.pairs ?? 0), 0);
}

function reasons(counts: Readonly<Record<string, number>>, before: string, none = ""): string {
  const list = Object.entries(counts).filter(([, count]) => count > 0);
  if (list.length === 0) return none;
  return before + list.map(([reason, count]) => `${number(count)} ${reason}`).join(", ");
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`;
}
