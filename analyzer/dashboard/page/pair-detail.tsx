import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Finding, Leg, PairResponse } from "../../http/schemas.ts";
import type { Answer } from "./client.ts";
import { fetchAnswer } from "./client.ts";
import { capitalised, formatBytes, formatCount, formatRatio, formatUs } from "./format.ts";
import type { Place } from "./location.ts";
import { formatPlace } from "./location.ts";
import { Grade, Notice, troubleAdvice, troubleTitle, When } from "./parts.tsx";
import { ending, rule, statusName } from "./words.ts";

/** One pair over the page: both legs side by side. A link can open it; Escape closes it. */
export function PairDetail({ place, root }: { place: Place; root: string }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [answer, setAnswer] = useState<Answer<PairResponse> | null>(null);
  const { pair, shadow } = place;

  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);

  useEffect(() => {
    const leave = new AbortController();
    setAnswer(null);
    const path = `${root}/pairs/${encodeURIComponent(pair)}`;
    fetchAnswer<PairResponse>({ path, query: { shadow } }, leave.signal)
      .then(setAnswer)
      // Closed before the answer came.
      .catch(() => undefined);
    return () => leave.abort();
  }, [root, pair, shadow]);

  const close = () => {
    location.hash = formatPlace({ ...place, pair: "" });
    // The list may have moved on; then the heading of the list takes the focus.
    requestAnimationFrame(() => {
      const link = document.querySelector<HTMLElement>(`[data-pair="${CSS.escape(pair)}"]`);
      (link ?? document.getElementById("pairs"))?.focus();
    });
  };

  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside the panel closes it; by keyboard Escape does
    <dialog
      ref={dialog}
      class="detail"
      aria-labelledby="detail-title"
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) close();
      }}
    >
      <div class="detail-body">
        <header class="detail-head">
          <h2 id="detail-title" tabIndex={-1}>
            Pair <code>{pair}</code>
          </h2>
          <button type="button" onClick={close}>
            Close
          </button>
        </header>
        {answer === null ? (
          <p class="waiting">Asking…</p>
        ) : answer.ok ? (
          <Content one={answer.data} />
        ) : (
          <Notice
            tone="bad"
            title={
              answer.trouble.code === "NOT_FOUND"
                ? "This pair is not stored here"
                : troubleTitle(answer.trouble)
            }
          >
            <p>
              {troubleAdvice(answer.trouble)}
              {answer.trouble.code === "NOT_FOUND" &&
                " Pairs are kept for as many days as retention.pairsDays says."}
            </p>
          </Notice>
        )}
      </div>
    </dialog>
  );
}

function Content({ one }: { one: PairResponse }): JSX.Element {
  const legs: Leg[] = [one.primary, one.shadow, ...(one.control === null ? [] : [one.control])];
  const segments = Object.entries(one.segments);
  return (
    <>
      <p class="detail-route">
        <span class="method">{one.method}</span> {one.route}
        {one.params.length > 0 && <span class="quiet"> ?{one.params.join("&")}</span>}
      </p>
      <dl class="inline-facts">
        <Fact name="started">
          <When at={one.startedAt} date />
        </Fact>
        <Fact name="joined">
          <When at={one.joinedAt} />
        </Fact>
        <Fact name="run">
          <code>{one.run}</code>
        </Fact>
        <Fact name="request body">
          {formatBytes(one.requestBytes)}
          {one.requestContentType !== null && ` ${one.requestContentType}`}
          {!one.requestBytesEqual && <span class="is-bad"> not the same bytes on both legs</span>}
        </Fact>
        {segments.map(([name, value]) => (
          <Fact key={name} name={name}>
            {value}
          </Fact>
        ))}
        <Fact name="worker">
          <code>{one.worker}</code>
        </Fact>
      </dl>

      <h3>What differs</h3>
      <Findings findings={one.divergences} other="shadow" empty="No rule found a difference." />

      <table class="table legs-side">
        <caption>Both legs{one.control === null ? "" : " and the control"}</caption>
        <thead>
          <tr>
            <td />
            {legs.map((leg) => (
              <th key={leg.leg} scope="col">
                {leg.leg}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Line name="status" legs={legs} text={(leg) => statusName(leg.status)} />
          <Line
            name="gRPC status"
            legs={legs}
            text={(leg) => (leg.grpcStatus === null ? "" : String(leg.grpcStatus))}
          />
          <Line
            name="ending"
            legs={legs}
            text={(leg) => ending(leg.ending).label}
            title={(leg) => ending(leg.ending).means}
          />
          <Line name="Envoy's reason" legs={legs} text={(leg) => leg.failure} />
          <Line
            name="response body"
            legs={legs}
            text={(leg) => formatBytes(leg.bytes)}
            title={(leg) => `${formatCount(leg.bytes)} bytes`}
            compare={(leg) => leg.bytes}
          />
          <tr class={one.bytesEqual ? "" : "differs-row"}>
            <th scope="row">same bytes as primary</th>
            <td>
              <span class="quiet">–</span>
            </td>
            <td>{one.bytesEqual ? "yes" : <b>no</b>}</td>
            {one.control !== null && (
              <td>
                {one.bytesEqualControl === null ? "–" : one.bytesEqualControl ? "yes" : <b>no</b>}
              </td>
            )}
          </tr>
          <Line
            name="content type"
            legs={legs}
            text={(leg) => [leg.contentType, leg.contentEncoding].filter(Boolean).join(", ")}
          />
          <Line
            name="first byte"
            legs={legs}
            isMeasure
            text={(leg) => (leg.firstByteUs === null ? "" : formatUs(leg.firstByteUs))}
          />
          <Line name="total" legs={legs} isMeasure text={(leg) => formatUs(leg.totalUs)} />
          <tr>
            <th scope="row">total / primary</th>
            <td>
              <span class="quiet">1×</span>
            </td>
            <td>{one.latencyRatio === null ? "–" : formatRatio(one.latencyRatio)}</td>
            {one.control !== null && (
              <td>
                {one.controlLatencyRatio === null ? "–" : formatRatio(one.controlLatencyRatio)}
              </td>
            )}
          </tr>
          <Line name="attempts" legs={legs} text={(leg) => formatCount(leg.attempts)} />
          <tr>
            <th scope="row">chunks</th>
            <td>{formatCount(one.chunks.primary)}</td>
            <td>{formatCount(one.chunks.shadow)}</td>
            {one.control !== null && (
              <td>
                <span class="quiet">–</span>
              </td>
            )}
          </tr>
          {(one.chunks.primary > 1 || one.chunks.shadow > 1) && (
            <tr>
              <th scope="row">longest gap between chunks</th>
              <td>{formatUs(one.chunks.primaryGapUsMax)}</td>
              <td>{formatUs(one.chunks.shadowGapUsMax)}</td>
              {one.control !== null && (
                <td>
                  <span class="quiet">–</span>
                </td>
              )}
            </tr>
          )}
        </tbody>
      </table>

      {one.noise !== null && (
        <>
          <h3>The control on the same request</h3>
          <p class="hint">
            The primary's version answered it a second time. What differs here is noise.
          </p>
          <Findings
            findings={one.noise}
            other="control"
            empty="Control and primary agree by every rule: what differs above is not seen as noise here."
          />
        </>
      )}
      {one.cut.length > 0 && (
        <p class="quiet">
          Cut at a limit, and therefore never compared as equal: {one.cut.join(", ")}.
        </p>
      )}
    </>
  );
}

function Findings(props: {
  findings: readonly Finding[];
  other: string;
  empty: string;
}): JSX.Element {
  if (props.findings.length === 0) return <p class="quiet">{props.empty}</p>;
  return (
    <ul class="findings">
      {props.findings.map((found) => (
        <li key={found.rule}>
          <span class="finding-rule" title={rule(found.rule).means}>
            {rule(found.rule).label}
          </span>
          <Grade grade={found.grade} />
          <span class="finding-text">{capitalised(found.sentence)}</span>
        </li>
      ))}
    </ul>
  );
}

/** One property of all legs; a leg that is not as the primary is marked, measures are not: they always differ. */
function Line(props: {
  name: string;
  legs: readonly Leg[];
  text: (leg: Leg) => string;
  title?: (leg: Leg) => string;
  compare?: (leg: Leg) => unknown;
  isMeasure?: boolean;
}): JSX.Element | null {
  const { name, legs, text, title, compare = text, isMeasure = false } = props;
  if (legs.every((leg) => text(leg) === "")) return null;
  const primary = legs[0] as Leg;
  const shadow = legs[1] as Leg;
  const differs = !isMeasure && compare(primary) !== compare(shadow);
  return (
    <tr class={differs ? "differs-row" : ""}>
      <th scope="row">{name}</th>
      {legs.map((leg) => (
        <td key={leg.leg} {...(title === undefined ? {} : { title: title(leg) })}>
          {text(leg) === "" ? (
            <span class="quiet">–</span>
          ) : differs && leg === shadow ? (
            <b>{text(leg)}</b>
          ) : (
            text(leg)
          )}
        </td>
      ))}
    </tr>
  );
}

function Fact(props: { name: string; children: preact.ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
