import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { ExperimentSummary, ExperimentsResponse, HealthResponse } from "../../http/schemas.ts";
import { formatCount, formatFraction } from "./format.ts";
import { useLive } from "./live.ts";
import { formatPlace, HOME } from "./location.ts";
import {
  Ago,
  Frame,
  NextTry,
  Notice,
  Scroll,
  Share,
  troubleAdvice,
  troubleTitle,
} from "./parts.tsx";

interface Feeds {
  experiments: ExperimentsResponse;
  health: HealthResponse;
}

export function Experiments(): JSX.Element {
  const live = useLive<Feeds>({
    experiments: { path: "api/v1/experiments" },
    health: { path: "health" },
  });
  useEffect(() => {
    document.title = "Shadowgraph";
  }, []);
  const { experiments, health } = live.feeds;
  const list = experiments.data?.experiments ?? null;
  return (
    <Frame title={<h1 class="crumb">Experiments</h1>} live={live as never} health={health.data}>
      {list === null ? (
        experiments.trouble === null ? (
          <p class="waiting">Asking the analyzer…</p>
        ) : (
          <Notice tone="bad" title={troubleTitle(experiments.trouble)}>
            <p>
              {troubleAdvice(experiments.trouble)} <NextTry live={live as never} />
            </p>
          </Notice>
        )
      ) : list.length === 0 ? (
        <Notice tone="calm" title="No experiments yet">
          <p>
            An experiment says which requests are mirrored, from which primary to which shadow. Add
            one under <code>experiments:</code> in <code>shadowgraph.yaml</code>, then run{" "}
            <code>shadowgraph render envoy</code> and restart the analyzer.{" "}
            <code>shadowgraph doctor</code> says what is missing.
          </p>
        </Notice>
      ) : (
        <List list={list} />
      )}
    </Frame>
  );
}

function List({ list }: { list: readonly ExperimentSummary[] }): JSX.Element {
  return (
    <Scroll label="Experiments">
      <table class="table experiments">
        <caption>
          Figures are of each experiment's newest run. A pair is one request seen on the primary and
          on a shadow.
        </caption>
        <thead>
          <tr>
            <th scope="col">experiment</th>
            <th scope="col">primary</th>
            <th scope="col">shadows</th>
            <th scope="col" class="num">
              sampled
            </th>
            <th scope="col" class="num">
              pairs
            </th>
            <th scope="col" class="num">
              differ
            </th>
            <th scope="col" class="num">
              orphans
            </th>
            <th scope="col" class="num">
              last pair
            </th>
          </tr>
        </thead>
        <tbody>
          {list.map((one) => (
            <tr key={one.name}>
              <th scope="row" data-label="experiment">
                <a href={formatPlace({ ...HOME, experiment: one.name })}>{one.name}</a>
              </th>
              <td data-label="primary">{one.primary}</td>
              <td data-label="shadows">
                {one.shadows
                  .map((shadow) =>
                    shadow.build === null ? shadow.name : `${shadow.name} (${shadow.build})`,
                  )
                  .join(", ")}
                {one.control && <span class="quiet"> + control</span>}
              </td>
              <td data-label="sampled" class="num">
                {formatFraction(one.sampleFraction)}
              </td>
              <td data-label="pairs" class="num">
                {formatCount(one.pairs)}
              </td>
              <td data-label="differ" class="num">
                <Share part={one.divergentPairs} of={one.pairs} />
              </td>
              <td data-label="orphans" class="num">
                {formatCount(one.orphans)}
              </td>
              <td data-label="last pair" class="num">
                {one.lastPairAt === null ? (
                  <span class="quiet">none yet</span>
                ) : (
                  <Ago at={one.lastPairAt} />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
