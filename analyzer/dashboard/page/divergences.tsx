import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { RouteSummary, RuleCount, SummaryResponse } from "../../http/schemas.ts";
import { FEW_PAIRS, formatCount, formatCountOf, formatRate } from "./format.ts";
import { byExcess, excess } from "./headline.ts";
import type { Place } from "./location.ts";
import { formatPlace } from "./location.ts";
import { Few, Grade, Scroll, Section, Share } from "./parts.tsx";
import { rule } from "./words.ts";

/** More rows than these are asked for by a button. */
const ROUTES_SHOWN = 12;

export function Divergences(props: { summary: SummaryResponse; place: Place }): JSX.Element {
  const { summary, place } = props;
  const rules = byExcess(summary.rules);
  const hasControl = summary.controlPairs > 0;
  return (
    <Section
      id="divergences"
      title="Divergences"
      hint={
        hasControl
          ? "Pairs in which a rule found a difference. The control runs the primary's own version: what it finds there is noise."
          : "Pairs in which a rule found a difference. Without a control, noise such as timestamps is part of it."
      }
      more={
        <>
          <p>
            A pair can be found by several rules, so the rules do not add up. Rates are of all pairs
            in view; noise rates of the pairs that have a control.
          </p>
          <p>
            The order is by how far the shadow's rate lies above the control's. It is an order for
            reading, not a verdict: nothing here tests significance.
          </p>
        </>
      }
    >
      {rules.length === 0 ? (
        <p class="good">No rule found a difference in {formatCountOf(summary.pairs, "pair")}.</p>
      ) : (
        <>
          <ByRule summary={summary} rules={rules} place={place} />
          <ByRoute summary={summary} rules={rules} place={place} />
        </>
      )}
    </Section>
  );
}

function ByRule(props: {
  summary: SummaryResponse;
  rules: readonly RuleCount[];
  place: Place;
}): JSX.Element {
  const { summary, rules, place } = props;
  const hasControl = summary.controlPairs > 0;
  const top = Math.max(...rules.map((one) => Math.max(one.rate, one.noiseRate ?? 0)));
  return (
    <Scroll label="Divergences by rule">
      <table class="table rules">
        <caption>By rule</caption>
        <thead>
          <tr>
            <th scope="col">rule</th>
            <th scope="col">grade</th>
            <th scope="col" class="num">
              differ
            </th>
            <th scope="col" class="num">
              pairs
            </th>
            {hasControl && (
              <>
                <th scope="col" class="num">
                  noise
                </th>
                <th
                  scope="col"
                  class="num beyond"
                  title="shadow's rate minus control's, in percentage points"
                >
                  beyond
                </th>
              </>
            )}
            <th scope="col" class="wide">
              <span class="legend">
                <span class="key key-shadow" aria-hidden="true" /> shadow
                {hasControl && (
                  <>
                    {" "}
                    <span class="key key-control" aria-hidden="true" /> control (noise)
                  </>
                )}
              </span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rules.map((one) => (
            <tr key={one.rule} class={one.rule === place.rule ? "is-chosen" : ""}>
              <th scope="row" title={rule(one.rule).means}>
                <a
                  href={formatPlace({ ...place, rule: one.rule === place.rule ? "" : one.rule })}
                  aria-current={one.rule === place.rule ? "true" : undefined}
                >
                  {rule(one.rule).label}
                </a>
              </th>
              <td>
                <Grade grade={one.grade} />
              </td>
              <td class="num strong">
                <Share part={one.pairs} of={summary.pairs} />
              </td>
              <td class="num quiet">{formatCount(one.pairs)}</td>
              {hasControl && (
                <>
                  <td class="num">
                    <Share
                      part={one.noisePairs ?? 0}
                      of={summary.controlPairs}
                      what="pairs with a control"
                    />
                  </td>
                  <td class="num beyond">{formatPoints(excess(one), summary.controlPairs)}</td>
                </>
              )}
              <td class="wide" aria-hidden="true">
                <span class="rate">
                  <span class="rate-shadow" style={{ width: `${(100 * one.rate) / top}%` }} />
                  {one.noiseRate !== null && (
                    <span
                      class="rate-control"
                      style={{ width: `${(100 * one.noiseRate) / top}%` }}
                    />
                  )}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** `+3.2` percentage points; the sign is the point. */
function formatPoints(difference: number, of: number): string {
  const rate = formatRate(Math.abs(difference) * of, of).replace("\u202f%", "");
  if (rate === "0") return "0";
  return `${difference > 0 ? "+" : "−"}${rate}`;
}

function ByRoute(props: {
  summary: SummaryResponse;
  rules: readonly RuleCount[];
  place: Place;
}): JSX.Element {
  const { summary, rules, place } = props;
  const [showAll, setShowAll] = useState(false);
  const hasControl = summary.controlPairs > 0;
  const routes = [...summary.routes].sort(
    (a, b) => b.divergentPairs - a.divergentPairs || b.pairs - a.pairs,
  );
  const shown = showAll ? routes : routes.slice(0, ROUTES_SHOWN);
  const top = Math.max(0, ...routes.flatMap((one) => one.rules.map((found) => excess(found))));
  return (
    <>
      <h3>
        By route{" "}
        <span class="quiet">
          each cell: rate, pairs{hasControl ? ", and the control's rate (noise)" : ""}; deeper means
          further {hasControl ? "beyond noise" : "from 0"}
        </span>
      </h3>
      <Scroll label="Divergences by route and rule">
        <table class="table routes">
          <caption class="visually-hidden">Divergences by route and rule</caption>
          <thead>
            <tr>
              <th scope="col">route</th>
              <th scope="col" class="num">
                pairs
              </th>
              <th scope="col" class="num">
                differ
              </th>
              {rules.map((one) => (
                <th key={one.rule} scope="col" class="num" title={rule(one.rule).means}>
                  {rule(one.rule).label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={`${one.method} ${one.route}`}>
                <th scope="row">
                  <a href={formatPlace({ ...place, method: one.method, route: one.route })}>
                    <span class="method">{one.method}</span> {one.route}
                  </a>
                </th>
                <td class="num">
                  {one.pairs < FEW_PAIRS && <Few />}
                  {formatCount(one.pairs)}
                </td>
                <td class="num strong" title={`${formatCount(one.divergentPairs)} pairs`}>
                  {formatRate(one.divergentPairs, one.pairs)}
                </td>
                {rules.map((column) => (
                  <Cell key={column.rule} route={one} name={column.rule} top={top} place={place} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {routes.length > ROUTES_SHOWN && (
        <button type="button" class="more-rows" onClick={() => setShowAll(!showAll)}>
          {showAll
            ? `Show ${ROUTES_SHOWN} routes`
            : `Show all ${formatCount(routes.length)} routes`}
        </button>
      )}
      {summary.routesLeftOff > 0 && (
        <p class="quiet">
          {formatCountOf(summary.routesLeftOff, "more route")} with fewer pairs not listed; the
          figures above contain them.
        </p>
      )}
    </>
  );
}

function Cell(props: {
  route: RouteSummary;
  name: string;
  top: number;
  place: Place;
}): JSX.Element {
  const { route, name, top, place } = props;
  const found = route.rules.find((one) => one.rule === name);
  if (found === undefined || (found.pairs === 0 && (found.noisePairs ?? 0) === 0)) {
    return (
      <td class="num cell">
        <span class="quiet">·</span>
        <span class="visually-hidden">none</span>
      </td>
    );
  }
  // Square root: rare findings must not look like none.
  const heat = top > 0 ? Math.ceil(4 * Math.sqrt(Math.max(0, excess(found)) / top)) : 0;
  return (
    <td class={`num cell heat-${heat}`}>
      <a
        href={formatPlace({ ...place, method: route.method, route: route.route, rule: name })}
        title={`${formatCount(found.pairs)} of ${formatCount(route.pairs)} pairs; show the newest`}
      >
        {formatRate(found.pairs, route.pairs)}
        <span class="cell-count">{formatCount(found.pairs)}</span>
      </a>
      {found.noisePairs !== null && (
        <span class="cell-noise" title={`control: ${formatCount(found.noisePairs)} pairs`}>
          noise {formatRate(found.noisePairs, route.controlPairs)}
        </span>
      )}
    </td>
  );
}
