import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { SummaryResponse } from "../../http/schemas.ts";
import { formatCount, formatCountOf, formatRate } from "./format.ts";
import { Scroll, Section, Share, When } from "./parts.tsx";

const HEIGHT_PAIRS = 96;
const HEIGHT_SHARE = 144;
/** Rows of the table; the chart has them all. */
const ROWS_SHOWN = 60;

export function Minutes({ summary }: { summary: SummaryResponse }): JSX.Element | null {
  const { minutes, stepMinutes } = summary;
  if (minutes.length === 0) return null;
  const step = stepMinutes === 1 ? "minute" : `${stepMinutes} minutes`;
  const newest = minutes.at(-1);
  return (
    <Section
      id="minutes"
      title="Over time"
      hint={`Pairs and the share of them that differ, each ${step}, by the time of joining. The newest one is still filling.`}
    >
      {minutes.length < 2 ? (
        <p class="quiet">A chart appears after the second {step}.</p>
      ) : (
        <Chart summary={summary} />
      )}
      <details class="list">
        <summary>
          As a table
          {newest !== undefined && (
            <span class="quiet">
              , newest {formatCount(newest.pairs)} pairs,{" "}
              {formatRate(newest.divergentPairs, newest.pairs)} differ
            </span>
          )}
        </summary>
        <Scroll label="Pairs over time">
          <table class="table">
            <caption class="visually-hidden">Pairs and divergent pairs each {step}</caption>
            <thead>
              <tr>
                <th scope="col">from</th>
                <th scope="col" class="num">
                  pairs
                </th>
                <th scope="col" class="num">
                  divergent
                </th>
                <th scope="col" class="num">
                  differ
                </th>
              </tr>
            </thead>
            <tbody>
              {minutes
                .slice(-ROWS_SHOWN)
                .reverse()
                .map((one) => (
                  <tr key={one.minute}>
                    <th scope="row">
                      <When at={one.minute} />
                    </th>
                    <td class="num">{formatCount(one.pairs)}</td>
                    <td class="num">{formatCount(one.divergentPairs)}</td>
                    <td class="num">
                      <Share part={one.divergentPairs} of={one.pairs} />
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        </Scroll>
      </details>
    </Section>
  );
}

type Columns = [number[], (number | null)[]];

/** Buckets without pairs are missing in the answer: they are 0 pairs, and no share at all. */
function columns(summary: SummaryResponse): { pairs: Columns; share: Columns } {
  const stepS = summary.stepMinutes * 60;
  const times: number[] = [];
  const pairs: number[] = [];
  const shares: (number | null)[] = [];
  for (const one of summary.minutes) {
    const at = Date.parse(one.minute) / 1000;
    const last = times.at(-1);
    if (last !== undefined) {
      for (let gap = last + stepS; gap < at - stepS / 2 && times.length < 2000; gap += stepS) {
        times.push(gap);
        pairs.push(0);
        shares.push(null);
      }
    }
    times.push(at);
    pairs.push(one.pairs);
    shares.push(one.pairs === 0 ? null : (100 * one.divergentPairs) / one.pairs);
  }
  return { pairs: [times, pairs], share: [times, shares] };
}

function Chart({ summary }: { summary: SummaryResponse }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLParagraphElement>(null);
  const plots = useRef<uPlot[]>([]);
  const newest = useRef(summary);
  newest.current = summary;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const build = () => {
      for (const plot of plots.current) plot.destroy();
      const data = columns(newest.current);
      const width = element.clientWidth;
      const pad = newest.current.stepMinutes * 30;
      const tell = (index: number | null | undefined) => {
        if (readout.current === null) return;
        readout.current.textContent = describe(newest.current, index ?? null);
      };
      plots.current = [
        new uPlot(
          options("pairs", width, element, pad, tell),
          data.pairs as uPlot.AlignedData,
          element,
        ),
        new uPlot(
          options("share", width, element, pad, tell),
          data.share as uPlot.AlignedData,
          element,
        ),
      ];
      tell(null);
    };
    build();
    // Canvas knows no style sheet: a change of scheme draws anew, a change of width resizes.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", build);
    const observer = new ResizeObserver(() => {
      for (const [index, plot] of plots.current.entries()) {
        const height = index === 0 ? HEIGHT_PAIRS : HEIGHT_SHARE;
        if (plot.width !== element.clientWidth) {
          plot.setSize({ width: element.clientWidth, height });
        }
      }
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", build);
      for (const plot of plots.current) plot.destroy();
      plots.current = [];
    };
  }, []);

  useEffect(() => {
    const data = columns(summary);
    plots.current[0]?.setData(data.pairs as uPlot.AlignedData);
    plots.current[1]?.setData(data.share as uPlot.AlignedData);
    const index = plots.current[0]?.cursor.idx;
    if (readout.current !== null) readout.current.textContent = describe(summary, index ?? null);
  }, [summary]);

  return (
    <div class="chart" aria-hidden="true">
      <p class="readout" ref={readout} />
      <div ref={box} />
    </div>
  );
}

/** The bucket under the pointer, or the newest one, in words. */
function describe(summary: SummaryResponse, index: number | null): string {
  const times = columns(summary).pairs[0];
  const at = index === null ? times.at(-1) : times[index];
  if (at === undefined) return "";
  const one = summary.minutes.find((bucket) => Date.parse(bucket.minute) / 1000 === at);
  const clock = new Date(at * 1000).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
  });
  const pairs = one?.pairs ?? 0;
  const differ =
    pairs === 0
      ? ""
      : `; ${formatCount(one?.divergentPairs ?? 0)} differ, ${formatRate(one?.divergentPairs ?? 0, pairs)}`;
  return `${index === null ? "newest, " : ""}${clock}: ${formatCountOf(pairs, "pair")}${differ}`;
}

function options(
  what: "pairs" | "share",
  width: number,
  element: HTMLElement,
  /** Half a bucket, in seconds, so that the first and the last bar are whole. */
  pad: number,
  tell: (index: number | null | undefined) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${style.fontFamily}`;
  const isShare = what === "share";
  const axis = {
    stroke: colour("--muted"),
    font,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: isShare ? HEIGHT_SHARE : HEIGHT_PAIRS,
    cursor: { sync: { key: "minutes" }, drag: { x: false, y: false }, points: { size: 6 } },
    // The same on both, so that a minute lies under the same minute.
    padding: [10, 14, 0, 0],
    legend: { show: false },
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx)] },
    scales: {
      x: { range: (_plot, low, high) => [low - pad, high + pad] },
      y: { range: (_plot, _low, high) => [0, Math.max(isShare ? 1 : 5, (high ?? 0) * 1.1)] },
    },
    axes: [
      {
        ...axis,
        show: isShare,
        size: 36,
        // A bucket is a minute or more; finer marks would promise what is not there.
        incrs: [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400],
        // 24 hours, as everywhere on the page.
        values: [
          [86400, "{MM}-{DD}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{MM}-{DD}", null, null, null, null, null, 1],
          [60, "{HH}:{mm}", "\n{MM}-{DD}", null, null, null, null, null, 1],
        ],
      },
      {
        ...axis,
        size: 56,
        space: 28,
        label: isShare ? "differ" : "pairs",
        labelSize: 18,
        labelGap: 0,
        labelFont: font,
        values: (_plot, splits) =>
          splits.map((value) =>
            isShare
              ? `${Number(value.toFixed(1))}\u202f%`
              : Number.isInteger(value)
                ? formatCount(value)
                : "",
          ),
      },
    ],
    series: [
      {},
      isShare
        ? {
            label: "differ",
            stroke: colour("--diverge"),
            width: 2,
            points: { size: 5, fill: colour("--diverge") },
          }
        : {
            label: "pairs",
            stroke: colour("--shadow"),
            fill: colour("--shadow-soft"),
            width: 1,
            points: { show: false },
            paths: uPlot.paths.bars?.({ size: [0.8, 40] }) ?? null,
          },
    ],
  } as uPlot.Options;
}
