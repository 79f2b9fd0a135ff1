import type { JSX } from "preact";
import type { DurationQuantiles, RatioQuantiles, SummaryResponse } from "../../http/schemas.ts";
import { FEW_PAIRS, formatCount, formatRatio, formatUs } from "./format.ts";
import { Few, Scroll, Section } from "./parts.tsx";

const ROUTES_SHOWN = 8;
/** Where the axis may have a mark. */
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

interface Row {
  readonly key: string;
  readonly name: JSX.Element;
  readonly who: "shadow" | "control";
  readonly ratio: RatioQuantiles;
  /** Rows that the name stands for; 0: it stands in the row before. */
  readonly span: number;
}

export function Latency({ summary }: { summary: SummaryResponse }): JSX.Element | null {
  if (summary.latencyRatio.n === 0) return null;
  const rows: Row[] = [];
  const add = (key: string, name: JSX.Element, of: Ratios) => {
    const control = of.controlLatencyRatio;
    const hasControl = control !== null && control.n > 0;
    const span = hasControl ? 2 : 1;
    rows.push({ key: `${key} s`, name, who: "shadow", ratio: of.latencyRatio, span });
    if (hasControl) rows.push({ key: `${key} c`, name, who: "control", ratio: control, span: 0 });
  };
  add("", <b>all routes</b>, summary);
  if (summary.routes.length > 1) {
    for (const one of summary.routes.slice(0, ROUTES_SHOWN)) {
      if (one.latencyRatio.n === 0) continue;
      add(
        `${one.method} ${one.route}`,
        <>
          <span class="method">{one.method}</span> {one.route}
        </>,
        one,
      );
    }
  }
  const axis = makeAxis(rows);
  const hasControl = summary.controlLatencyRatio !== null && summary.controlLatencyRatio.n > 0;
  return (
    <Section
      id="latency"
      title="Latency"
      hint="For each request: how long a mirrored leg took, divided by how long the primary took. 1× is as fast."
      more={
        <>
          <p>
            The line runs from the median (p50) to the slowest hundredth (p99), with marks at p90
            and p95, on a logarithmic scale.
          </p>
          <p>
            {hasControl
              ? "Compare the shadow with the control, not with 1×: both travel the mirror path, and that alone costs time."
              : "Without a control the mirror path's own cost is part of this: two identical servers were seen 18 % apart."}
          </p>
        </>
      }
    >
      <Scroll label="Latency ratios">
        <table class="table ratios">
          <caption class="visually-hidden">
            Paired latency ratio: a leg's total duration divided by the primary's, pair by pair
          </caption>
          <thead>
            <tr>
              <th scope="col">route</th>
              <th scope="col">leg / primary</th>
              <td class="track-head" aria-hidden="true">
                <span class="track">
                  {axis.ticks.map((tick) => (
                    <span key={tick} class="tick-label" style={{ left: axis.at(tick) }}>
                      {tick}×
                    </span>
                  ))}
                </span>
              </td>
              <th scope="col" class="num">
                p50
              </th>
              <th scope="col" class="num">
                p90
              </th>
              <th scope="col" class="num">
                p95
              </th>
              <th scope="col" class="num">
                p99
              </th>
              <th scope="col" class="num" title="pairs where both durations are known">
                pairs
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.key} class={`ratio-${row.who}`}>
                {row.span > 0 && (
                  <th scope={row.span > 1 ? "rowgroup" : "row"} rowSpan={row.span}>
                    {row.name}
                  </th>
                )}
                <td>
                  <span class={`key key-${row.who}`} aria-hidden="true" /> {row.who}
                </td>
                <td class="track-cell" aria-hidden="true">
                  <Range row={row} axis={axis} />
                </td>
                <td class="num strong" data-label="p50">
                  {ratioText(row.ratio.p50)}
                </td>
                <td class="num" data-label="p90">
                  {ratioText(row.ratio.p90)}
                </td>
                <td class="num" data-label="p95">
                  {ratioText(row.ratio.p95)}
                </td>
                <td class="num" data-label="p99">
                  {ratioText(row.ratio.p99)}
                </td>
                <td class="num quiet" data-label="pairs">
                  {row.ratio.n < FEW_PAIRS && <Few />}
                  {formatCount(row.ratio.n)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <Durations summary={summary} />
    </Section>
  );
}

type Ratios = Pick<SummaryResponse, "latencyRatio" | "controlLatencyRatio">;

function ratioText(value: number | null): string {
  return value === null ? "–" : formatRatio(value);
}

interface Axis {
  readonly ticks: readonly number[];
  readonly at: (value: number) => string;
}

/** Logarithmic, wide enough for all rows and always with 1× on it. */
function makeAxis(rows: readonly Row[]): Axis {
  const values = rows.flatMap(({ ratio }) =>
    [ratio.p50, ratio.p99].filter((value): value is number => value !== null && value > 0),
  );
  const low = Math.log(Math.min(0.8, ...values) * 0.9);
  const high = Math.log(Math.max(2, ...values) * 1.1);
  return {
    ticks: TICKS.filter((tick) => Math.log(tick) > low && Math.log(tick) < high),
    at: (value) => {
      const share = (Math.log(Math.max(value, 1e-6)) - low) / (high - low);
      return `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
    },
  };
}

function Range({ row, axis }: { row: Row; axis: Axis }): JSX.Element {
  const { p50, p90, p95, p99 } = row.ratio;
  return (
    <span class={`track is-${row.who}`}>
      {axis.ticks.map((tick) => (
        <span
          key={tick}
          class={tick === 1 ? "grid-line is-one" : "grid-line"}
          style={{ left: axis.at(tick) }}
        />
      ))}
      {p50 !== null && p99 !== null && (
        <span class="range" style={{ left: axis.at(p50), right: `calc(100% - ${axis.at(p99)})` }} />
      )}
      {p90 !== null && <span class="range-tick" style={{ left: axis.at(p90) }} />}
      {p95 !== null && <span class="range-tick" style={{ left: axis.at(p95) }} />}
      {p99 !== null && <span class="range-end" style={{ left: axis.at(p99) }} />}
      {p50 !== null && <span class="range-median" style={{ left: axis.at(p50) }} />}
    </span>
  );
}

function Durations({ summary }: { summary: SummaryResponse }): JSX.Element {
  const rows: [string, DurationQuantiles | null][] = [
    ["primary", summary.primaryUs],
    [summary.shadow, summary.shadowUs],
    ["control", summary.controlUs],
  ];
  return (
    <>
      <h3>
        Total duration{" "}
        <span class="quiet">
          request headers to the end of the answer, seen by Envoy, within 1 %
        </span>
      </h3>
      <table class="table durations">
        <caption class="visually-hidden">Total duration by leg</caption>
        <thead>
          <tr>
            <th scope="col">leg</th>
            <th scope="col" class="num">
              p50
            </th>
            <th scope="col" class="num">
              p90
            </th>
            <th scope="col" class="num">
              p95
            </th>
            <th scope="col" class="num">
              p99
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(
            ([leg, quantiles]) =>
              quantiles !== null && (
                <tr key={leg}>
                  <th scope="row">{leg}</th>
                  <td class="num strong">{usText(quantiles.p50)}</td>
                  <td class="num">{usText(quantiles.p90)}</td>
                  <td class="num">{usText(quantiles.p95)}</td>
                  <td class="num">{usText(quantiles.p99)}</td>
                </tr>
              ),
          )}
        </tbody>
      </table>
    </>
  );
}

function usText(value: number | null): string {
  return value === null ? "–" : formatUs(value);
}
