import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import type { HealthResponse } from "../../http/schemas.ts";
import type { Trouble } from "./client.ts";
import { capitalised, FEW_PAIRS, formatAge, formatAgo, formatCount, formatRate } from "./format.ts";
import type { Live } from "./live.ts";
import { useNow } from "./live.ts";

/** Answers that came within this are as good as new. */
const STALE_MS = 20_000;

// ---- the frame --------------------------------------------------------------------------------------------------

export function Frame(props: {
  title: ComponentChildren;
  live: Live<Record<string, unknown>> | Live<never>;
  health: HealthResponse | null;
  controls?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  const live = props.live as Live<Record<string, unknown>>;
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it does navigate; only the address must stay the page's own */}
      <a class="skip" href="#content" onClick={focusContent}>
        Skip to the figures
      </a>
      <header class="top">
        <a class="brand" href="#/">
          <Mark />
          <span>Shadowgraph</span>
        </a>
        {props.title}
        <Freshness live={live} />
      </header>
      {props.controls}
      <main id="content" tabIndex={-1}>
        <Connection live={live} />
        <Components health={props.health} told={live.trouble?.code ?? ""} />
        {props.children}
      </main>
      <footer class="foot">
        <p>
          Every figure here comes from digests, sizes, statuses and times. Bodies are never stored.
        </p>
        <p>
          <a href="openapi.json">API</a> · <a href="metrics">metrics</a> ·{" "}
          <a href="health">health</a>
        </p>
      </footer>
    </>
  );
}

/** The address after the # is the page's own, so the skip link moves the focus by hand. */
function focusContent(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <circle class="mark-shadow" cx="19.5" cy="18.5" r="10" />
      <circle class="mark-primary" cx="12.5" cy="13.5" r="10" />
      <path class="mark-both" d="M21.5 8.7a10 10 0 0 1-7.2 14.6A10 10 0 0 1 21.5 8.7Z" />
    </svg>
  );
}

function Freshness({ live }: { live: Live<Record<string, unknown>> }): JSX.Element {
  const nowMs = useNow();
  const { completeAtMs, trouble, paused } = live;
  const ageMs = completeAtMs === null ? null : nowMs - completeAtMs;
  const state = paused
    ? "paused"
    : trouble !== null
      ? "trouble"
      : ageMs !== null && ageMs > STALE_MS
        ? "stale"
        : "live";
  return (
    <div class="fresh">
      <span class={`fresh-state is-${state}`}>
        <span class="fresh-dot" aria-hidden="true" />
        {state}
      </span>
      <span class="fresh-age" title="age of the figures on this page">
        {ageMs === null ? "no figures yet" : formatAgo(ageMs)}
      </span>
      <button type="button" aria-pressed={paused} onClick={() => live.setPaused(!paused)}>
        {paused ? "Resume" : "Pause"}
      </button>
    </div>
  );
}

/** Always in the document, so that a screen reader hears when its text changes. */
function Connection({ live }: { live: Live<Record<string, unknown>> }): JSX.Element {
  const { trouble, completeAtMs } = live;
  return (
    <div class="connection" role="status" aria-live="polite">
      {trouble !== null && completeAtMs !== null && (
        <Notice tone="bad" title={troubleTitle(trouble)}>
          <p>
            {troubleAdvice(trouble)} The figures below are those of{" "}
            <When at={new Date(completeAtMs).toISOString()} />. <NextTry live={live} />
          </p>
        </Notice>
      )}
    </div>
  );
}

export function NextTry({ live }: { live: Live<Record<string, unknown>> }): JSX.Element {
  const nowMs = useNow();
  const inMs = live.nextAtMs === null ? 0 : live.nextAtMs - nowMs;
  return (
    <span class="next-try">
      <span aria-hidden="true">
        {live.paused
          ? "Paused."
          : inMs > 500
            ? `Next try in ${formatAge(inMs)}.`
            : "Trying again now."}{" "}
      </span>
      <button type="button" onClick={live.refresh}>
        Try now
      </button>
    </span>
  );
}

/** What the analyzer itself waits for: NATS and ClickHouse. */
function Components(props: {
  health: HealthResponse | null;
  /** What another notice says already. */
  told: string;
}): JSX.Element | null {
  const { health, told } = props;
  if (health === null) return null;
  const notices: JSX.Element[] = [];
  const nats = health.nats;
  if (isAway(nats.state)) {
    notices.push(
      <Notice key="nats" tone="bad" title={awayTitle("NATS", nats.state)}>
        <p>
          {nats.message !== "" && `${capitalised(nats.message)}. `}
          {nats.since !== null && (
            <>
              Since <When at={nats.since} />.{" "}
            </>
          )}
          Nothing new arrives. Filters keep what they can in their outboxes and count the rest. Run{" "}
          <code>shadowgraph doctor</code>.
        </p>
      </Notice>,
    );
  }
  const store = health.clickhouse;
  if (isAway(store.state) && told !== "CLICKHOUSE_UNAVAILABLE") {
    notices.push(
      <Notice key="clickhouse" tone="bad" title={awayTitle("ClickHouse", store.state)}>
        <p>
          {store.message !== "" && `${capitalised(store.message)}. `}
          {store.since !== null && (
            <>
              Since <When at={store.since} />.{" "}
            </>
          )}
          The stream is the journal: the analyzer continues where it stopped, nothing is lost while
          the stream's limits last.
        </p>
      </Notice>,
    );
  }
  return notices.length === 0 ? null : <div>{notices}</div>;
}

const REACHED = ["connected", "up"];
const NOT_YET = ["connecting", "starting"];

function isAway(state: string): boolean {
  return !REACHED.includes(state);
}

function awayTitle(name: string, state: string): string {
  return NOT_YET.includes(state) ? `${name} is not reached yet` : `${name} is away`;
}

export function troubleTitle(trouble: Trouble): string {
  if (trouble.kind === "away") return "The analyzer does not answer";
  switch (trouble.code) {
    case "CLICKHOUSE_UNAVAILABLE":
      return "ClickHouse does not answer";
    case "CLICKHOUSE_REFUSED":
      return "ClickHouse refused the query";
    case "NOT_FOUND":
      return "There is no such thing";
    case "PARAMETER_INVALID":
      return "This link asks for something that does not exist";
    default:
      return `The analyzer answered ${trouble.code}`;
  }
}

export function troubleAdvice(trouble: Trouble): JSX.Element {
  const said = `${capitalised(trouble.detail)}.`;
  if (trouble.kind === "away") {
    return (
      <>
        {said} Is it running? Its log says why it stopped; <code>shadowgraph doctor</code> checks
        what it needs.
      </>
    );
  }
  if (trouble.code === "CLICKHOUSE_UNAVAILABLE") {
    return (
      <>
        {said} Check <code>CLICKHOUSE_URL</code> and the server; the analyzer keeps trying, and the
        stream keeps what comes meanwhile.
      </>
    );
  }
  return (
    <>
      {said} Code <code>{trouble.code}</code>.
    </>
  );
}

// ---- sections ---------------------------------------------------------------------------------------------------

/** A heading with what its figures mean in the margin, and the figures beside it. */
export function Section(props: {
  id: string;
  title: string;
  hint: ComponentChildren;
  more?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="section" aria-labelledby={props.id}>
      <div class="margin">
        <h2 id={props.id} tabIndex={-1}>
          {props.title}
        </h2>
        <p class="hint">{props.hint}</p>
        {props.more !== undefined && (
          <details class="more">
            <summary>How to read this</summary>
            <div>{props.more}</div>
          </details>
        )}
      </div>
      <div class="body">{props.children}</div>
    </section>
  );
}

export function Notice(props: {
  tone: "bad" | "calm";
  title: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class={`notice is-${props.tone}`}>
      <p class="notice-title">
        <span class="notice-sign" aria-hidden="true">
          {props.tone === "bad" ? "!" : "i"}
        </span>
        {props.title}
      </p>
      {props.children}
    </div>
  );
}

/** A table that is wider than a phone scrolls by itself; the page never does. */
export function Scroll(props: { label: string; children: ComponentChildren }): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="scroll" aria-label={props.label} tabIndex={0}>
      {props.children}
    </section>
  );
}

// ---- figures ----------------------------------------------------------------------------------------------------

/** A share with the counts that it comes from. */
export function Share(props: { part: number; of: number; what?: string }): JSX.Element {
  const { part, of, what = "pairs" } = props;
  return (
    <span
      class="share"
      title={`${formatCount(part)} of ${formatCount(of)} ${what}${of > 0 && of < FEW_PAIRS ? `; fewer than ${FEW_PAIRS}: the rate can be far off` : ""}`}
    >
      {of > 0 && of < FEW_PAIRS && <Few />}
      {formatRate(part, of)}
    </span>
  );
}

export function Few(): JSX.Element {
  return <abbr title={`fewer than ${FEW_PAIRS} pairs: the rate can be far off`}>few</abbr>;
}

export function When(props: { at: string; date?: boolean }): JSX.Element {
  const time = new Date(props.at);
  const isOtherDay = time.toDateString() !== new Date().toDateString();
  const clock = time.toLocaleTimeString("en-GB");
  const day = time.toLocaleDateString("en-CA");
  return (
    <time dateTime={props.at} title={props.at}>
      {props.date || isOtherDay ? `${day} ${clock}` : clock}
    </time>
  );
}

export function Ago(props: { at: string }): JSX.Element {
  const nowMs = useNow();
  return (
    <time dateTime={props.at} title={props.at}>
      {formatAgo(nowMs - Date.parse(props.at))}
    </time>
  );
}

const GRADES: Readonly<Record<string, string>> = { high: "●●●", medium: "●●○", low: "●○○" };

/** Dots as well as a word: readable without colour and at a glance. */
export function Grade({ grade }: { grade: string }): JSX.Element {
  return (
    <span class={`grade is-${grade}`} title={`grade ${grade}: how much such a finding weighs`}>
      <span aria-hidden="true">{GRADES[grade] ?? "○○○"}</span> {grade}
    </span>
  );
}

/** Remembers the newest value that was not null. */
export function useLast<T>(value: T | null): T | null {
  const last = useRef<T | null>(null);
  if (value !== null) last.current = value;
  return value ?? last.current;
}
