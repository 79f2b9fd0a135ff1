import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type {
  AccountingResponse,
  ExperimentResponse,
  HealthResponse,
  PairsResponse,
  RunsResponse,
  SummaryResponse,
} from "../../http/schemas.ts";
import { Accounting } from "./accounting.tsx";
import { DeadLetters } from "./dead-letters.tsx";
import { Divergences } from "./divergences.tsx";
import { formatCount, formatCountOf, formatFraction } from "./format.ts";
import { headline, noiseLine } from "./headline.ts";
import { Latency } from "./latency.tsx";
import type { Live } from "./live.ts";
import { useLive } from "./live.ts";
import type { Place } from "./location.ts";
import { formatPlace, WINDOWS } from "./location.ts";
import { Minutes } from "./minutes.tsx";
import { Orphans } from "./orphans.tsx";
import { PairDetail } from "./pair-detail.tsx";
import { Pairs } from "./pairs.tsx";
import { Ago, Frame, NextTry, Notice, troubleAdvice, troubleTitle, When } from "./parts.tsx";
import { Segments } from "./segments.tsx";
import { Statuses } from "./statuses.tsx";

interface Feeds {
  experiment: ExperimentResponse;
  runs: RunsResponse;
  summary: SummaryResponse;
  accounting: AccountingResponse;
  pairs: PairsResponse;
  health: HealthResponse;
}

export function Experiment({ name, place }: { name: string; place: Place }): JSX.Element {
  const root = `api/v1/experiments/${encodeURIComponent(name)}`;
  const { run, shadow, method, route, rule } = place;
  const windowMinutes = WINDOWS[place.window] ?? 0;
  const live = useLive<Feeds>({
    experiment: { path: root },
    runs: { path: `${root}/runs` },
    summary: { path: `${root}/summary`, query: { run, shadow, method, route }, windowMinutes },
    accounting: { path: `${root}/accounting`, query: { run, shadow } },
    pairs: {
      path: `${root}/pairs`,
      query: { run, shadow, method, route, rule, divergent: "true", limit: "25" },
      windowMinutes,
    },
    health: { path: "health" },
  });
  const { experiment, runs, summary, accounting, pairs, health } = live.feeds;
  useEffect(() => {
    document.title = `${name} · Shadowgraph`;
  }, [name]);

  const figures = summary.data;
  const isFirstVisit = experiment.data === null || figures === null;
  return (
    <>
      <Frame
        title={
          <p class="crumb">
            <a href="#/">Experiments</a>
            <span aria-hidden="true"> / </span>
            <span>{name}</span>
          </p>
        }
        live={live as never}
        health={health.data}
        controls={
          <Controls place={place} experiment={experiment.data} runs={runs.data} summary={figures} />
        }
      >
        {isFirstVisit ? (
          <FirstAnswer live={live} name={name} />
        ) : (
          <div aria-busy={summary.outdated} class={summary.outdated ? "is-outdated" : ""}>
            <Head
              name={name}
              place={place}
              experiment={experiment.data as ExperimentResponse}
              summary={figures}
              runs={runs.data}
            />
            {figures.pairs === 0 && (
              <NoPairs
                place={place}
                experiment={experiment.data as ExperimentResponse}
                accounting={accounting.data}
              />
            )}
            {accounting.data !== null && <Accounting accounting={accounting.data} />}
            {figures.pairs > 0 && (
              <>
                <Divergences summary={figures} place={place} />
                <Pairs page={pairs.data} isOutdated={pairs.outdated} place={place} root={root} />
                <Latency summary={figures} />
                <Minutes summary={figures} />
                <Statuses summary={figures} />
                <Segments summary={figures} />
              </>
            )}
            {(figures.pairs > 0 || Object.keys(figures.orphans).length > 0) && (
              <Orphans summary={figures} root={root} place={place} />
            )}
            <DeadLetters count={accounting.data?.deadLetters ?? 0} />
          </div>
        )}
      </Frame>
      {place.pair !== "" && <PairDetail place={place} root={root} />}
    </>
  );
}

function FirstAnswer({ live, name }: { live: Live<Feeds>; name: string }): JSX.Element {
  const trouble = live.feeds.experiment.trouble ?? live.feeds.summary.trouble;
  if (trouble === null) return <p class="waiting">Asking the analyzer about {name}…</p>;
  const isUnknown = trouble.code === "NOT_FOUND" || trouble.code === "EXPERIMENT_UNKNOWN";
  return (
    <Notice tone="bad" title={isUnknown ? `No experiment ${name} here` : troubleTitle(trouble)}>
      <p>
        {troubleAdvice(trouble)}{" "}
        {isUnknown ? <a href="#/">All experiments</a> : <NextTry live={live as never} />}
      </p>
    </Notice>
  );
}

// ---- the selectors ----------------------------------------------------------------------------------------------

function Controls(props: {
  place: Place;
  experiment: ExperimentResponse | null;
  runs: RunsResponse | null;
  summary: SummaryResponse | null;
}): JSX.Element {
  const { place, experiment, runs, summary } = props;
  const go = (change: Partial<Place>) => {
    location.hash = formatPlace({ ...place, ...change });
  };
  // The analyzer chooses when the link does not: the first one, or what an older run had.
  const shadow = place.shadow || summary?.shadow || "";
  // While a route is chosen the summary knows only that one: the others are remembered from before.
  const routes = useRef<Route[]>([]);
  const isWhole = summary !== null && place.route === "" && summary.shadow !== "";
  if (isWhole) routes.current = summary.routes.map(({ method, route }) => ({ method, route }));
  const isKnown = routes.current.some((one) => isAt(one, place));
  const choices = isKnown || place.route === "" ? routes.current : [place, ...routes.current];
  return (
    <nav class="controls" aria-label="What is shown">
      <Select label="Run" value={place.run} onChange={(run) => go({ run, pair: "" })}>
        <option value="">
          newest{runs?.runs[0] === undefined ? "" : ` (${runs.runs[0].run})`}
        </option>
        {unlisted(
          place.run,
          runs?.runs.map((one) => one.run),
        )}
        {runs?.runs.map((one) => (
          <option key={one.run} value={one.run}>
            {one.run} · {formatCountOf(one.pairs, "pair")}
            {one.build === null ? "" : ` · ${one.build}`}
          </option>
        ))}
      </Select>
      <Select label="Shadow" value={shadow} onChange={(shadow) => go({ shadow, pair: "" })}>
        {shadow === "" && <option value="">first</option>}
        {unlisted(
          shadow,
          experiment?.shadows.map((one) => one.name),
        )}
        {experiment?.shadows.map((one) => (
          <option key={one.name} value={one.name}>
            {one.name}
            {one.build === null ? "" : ` · ${one.build}`}
          </option>
        ))}
      </Select>
      <Select
        label="Route"
        value={place.route === "" ? "" : `${place.method} ${place.route}`}
        onChange={(value) => {
          const cut = value.indexOf(" ");
          go({ method: value.slice(0, Math.max(0, cut)), route: value.slice(cut + 1) });
        }}
      >
        <option value="">all routes</option>
        {choices.map((one) => (
          <option key={`${one.method} ${one.route}`} value={`${one.method} ${one.route}`}>
            {one.method} {one.route}
          </option>
        ))}
      </Select>
      <Select label="Time" value={place.window} onChange={(window) => go({ window })}>
        <option value="">whole run</option>
        <option value="15m">last 15 minutes</option>
        <option value="1h">last hour</option>
        <option value="6h">last 6 hours</option>
        <option value="24h">last 24 hours</option>
      </Select>
      {(place.route !== "" || place.window !== "" || place.run !== "" || place.rule !== "") && (
        <a
          class="clear"
          href={formatPlace({
            ...place,
            run: "",
            method: "",
            route: "",
            rule: "",
            window: "",
            pair: "",
          })}
        >
          Clear
        </a>
      )}
    </nav>
  );
}

interface Route {
  readonly method: string;
  readonly route: string;
}

function isAt(one: Route, place: Place): boolean {
  return one.route === place.route && one.method === place.method;
}

/** A link may name something that is gone: the selector still shows what the page asks for. */
function unlisted(value: string, known: readonly string[] | undefined): JSX.Element | null {
  if (value === "" || known?.includes(value)) return null;
  return <option value={value}>{value}</option>;
}

function Select(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <label class="select">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.children}
      </select>
    </label>
  );
}

// ---- the head ---------------------------------------------------------------------------------------------------

function Head(props: {
  name: string;
  place: Place;
  experiment: ExperimentResponse;
  summary: SummaryResponse;
  runs: RunsResponse | null;
}): JSX.Element {
  const { name, place, experiment, summary, runs } = props;
  const run = runs?.runs.find((one) => one.run === summary.run);
  const shadow = experiment.shadows.find((one) => one.name === summary.shadow);
  const where = [
    place.route === "" ? "" : `on ${place.method} ${place.route}`,
    place.window === "" ? "" : `in the last ${WINDOW_NAMES[place.window] ?? place.window}`,
  ].filter((text) => text !== "");
  return (
    <div class="head">
      <h1 class="headline">
        <span class="visually-hidden">{name}: </span>
        {headline(summary)}
      </h1>
      <p class="subline">
        {where.length > 0 && <strong>Only {where.join(", ")}. </strong>}
        {noiseLine(summary)}
      </p>
      <dl class="facts">
        <Fact name="primary">{experiment.primary}</Fact>
        <Fact name="shadow">
          {summary.shadow}
          {shadow?.build != null && <span class="quiet"> build {shadow.build}</span>}
        </Fact>
        <Fact name="control">
          {experiment.control ? (
            formatCountOf(summary.controlPairs, "pair")
          ) : (
            <span class="quiet">none</span>
          )}
        </Fact>
        <Fact name="sampled" title="share of matching requests; from the configuration">
          {formatFraction(experiment.sampleFraction)}
        </Fact>
        <Fact
          name="run"
          title="one build of the shadow under one frozen configuration: a change starts a new run"
        >
          <code>{summary.run ?? experiment.run ?? "–"}</code>
          {run !== undefined && !run.current && <span class="quiet"> earlier</span>}
        </Fact>
        <Fact name="first pair">
          {run?.firstPairAt == null ? <span class="quiet">–</span> : <When at={run.firstPairAt} />}
        </Fact>
        <Fact name="last pair">
          {run?.lastPairAt == null ? <span class="quiet">–</span> : <Ago at={run.lastPairAt} />}
        </Fact>
        <Fact name="bodies equal" title="pairs whose response bodies are equal byte for byte">
          {formatCount(summary.bytesEqualPairs)}
        </Fact>
      </dl>
    </div>
  );
}

const WINDOW_NAMES: Readonly<Record<string, string>> = {
  "15m": "15 minutes",
  "1h": "hour",
  "6h": "6 hours",
  "24h": "24 hours",
};

function Fact(props: { name: string; title?: string; children: ComponentChildren }): JSX.Element {
  return (
    <div {...(props.title === undefined ? {} : { title: props.title })}>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

// ---- nothing to show --------------------------------------------------------------------------------------------

function NoPairs(props: {
  place: Place;
  experiment: ExperimentResponse;
  accounting: AccountingResponse | null;
}): JSX.Element {
  const { place, experiment, accounting } = props;
  if (place.route !== "" || place.window !== "") {
    return (
      <Notice tone="calm" title="No pairs fit this choice">
        <p>
          <a href={formatPlace({ ...place, method: "", route: "", window: "", rule: "" })}>
            Show all routes of the whole run
          </a>
          .
        </p>
      </Notice>
    );
  }
  const match = experiment.config.match;
  const conditions = [
    match.hosts.length > 0 ? `host ${match.hosts.join(" or ")}` : "",
    match.pathPrefix === null ? "" : `path from ${match.pathPrefix}`,
    match.methods.length > 0 ? `method ${match.methods.join(" or ")}` : "",
    match.header === null ? "" : `header ${match.header}`,
  ].filter((text) => text !== "");
  const seen = accounting?.requests.seen ?? 0;
  const sampled = accounting?.requests.sampled ?? 0;
  return (
    <Notice tone="calm" title="No pairs yet">
      {seen === 0 ? (
        <p>
          No request has matched this experiment
          {conditions.length > 0 && ` (${conditions.join(", ")})`}, or Envoy does not run the filter
          of this run. Run <code>shadowgraph doctor</code>: it checks the filter's ledger, NATS, the
          stream and ClickHouse. After a change of <code>shadowgraph.yaml</code>, run{" "}
          <code>shadowgraph render envoy</code> again.
        </p>
      ) : sampled === 0 ? (
        <p>
          {formatCountOf(seen, "request")} matched and none was sampled; the accounting below says
          why. <code>sampleFraction</code> is {formatFraction(experiment.sampleFraction)}.
        </p>
      ) : (
        <p>
          {formatCountOf(sampled, "request")} sampled. A pair appears when both legs have ended, at
          the latest {experiment.config.joinWindowMs / 1000} seconds later. If none comes, the
          accounting below says where they went, and <code>shadowgraph doctor</code> what to check.
        </p>
      )}
    </Notice>
  );
}
