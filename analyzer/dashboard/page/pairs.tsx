import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { PairItem, PairsResponse } from "../../http/schemas.ts";
import type { Trouble } from "./client.ts";
import { fetchAnswer } from "./client.ts";
import { formatCount, formatRatio, formatUs, shortId } from "./format.ts";
import type { Place } from "./location.ts";
import { formatPlace, WINDOWS } from "./location.ts";
import { Section, troubleTitle, When } from "./parts.tsx";
import { rule, statusName } from "./words.ts";

/** A page is for looking; who wants more asks the API. */
const ROWS_MAX = 300;

export function Pairs(props: {
  page: PairsResponse | null;
  isOutdated: boolean;
  place: Place;
  root: string;
}): JSX.Element {
  const { page, isOutdated, place, root } = props;
  const { rows, next, loadMore, trouble, isLoading } = useOlder(page, isOutdated, place, root);
  // Who chooses a rule in the tables above wants to see its pairs, by eye and by keyboard.
  const lastRule = useRef(place.rule);
  useEffect(() => {
    if (place.rule !== "" && place.rule !== lastRule.current) {
      document.getElementById("pairs")?.focus();
    }
    lastRule.current = place.rule;
  }, [place.rule]);
  return (
    <Section
      id="pairs"
      title="Latest divergent pairs"
      hint="Newest first. Open one to see both legs side by side and each finding in a sentence."
    >
      {place.rule !== "" && (
        <p class="chosen">
          Only those found by <b>{rule(place.rule).label}</b>: {rule(place.rule).means}.{" "}
          <a href={formatPlace({ ...place, rule: "" })}>Show all rules</a>
        </p>
      )}
      {page === null ? (
        <p class="waiting">Asking…</p>
      ) : rows.length === 0 ? (
        <p class="quiet">No divergent pair fits this choice.</p>
      ) : (
        <table
          class={isOutdated ? "table pairs is-outdated" : "table pairs"}
          aria-busy={isOutdated}
        >
          <caption class="visually-hidden">Latest divergent pairs, newest first</caption>
          <thead>
            <tr>
              <th scope="col">pair</th>
              <th scope="col">joined</th>
              <th scope="col">route</th>
              <th scope="col">primary → shadow</th>
              <th scope="col" class="num">
                latency
              </th>
              <th scope="col">found by</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <Row key={one.correlationId} one={one} place={place} />
            ))}
          </tbody>
        </table>
      )}
      {next !== null && rows.length > 0 && rows.length < ROWS_MAX && (
        <button type="button" class="more-rows" onClick={loadMore} disabled={isLoading}>
          {isLoading ? "Asking…" : "Older pairs"}
        </button>
      )}
      {rows.length >= ROWS_MAX && (
        <p class="quiet">
          The newest {formatCount(rows.length)} are listed. All of them: the API's{" "}
          <code>{root}/pairs</code>.
        </p>
      )}
      {trouble !== null && <p class="is-bad">{troubleTitle(trouble)}.</p>}
    </Section>
  );
}

function Row({ one, place }: { one: PairItem; place: Place }): JSX.Element {
  const isOpen = place.pair === one.correlationId;
  return (
    <tr class={isOpen ? "is-chosen" : ""}>
      <th scope="row" data-label="pair">
        <a
          href={formatPlace({ ...place, pair: one.correlationId })}
          data-pair={one.correlationId}
          aria-haspopup="dialog"
          title={one.correlationId}
        >
          <code>{shortId(one.correlationId)}</code>
        </a>
      </th>
      <td data-label="joined">
        <When at={one.joinedAt} />
      </td>
      <td data-label="route" class="route">
        <span class="method">{one.method}</span> {one.route}
      </td>
      <td data-label="status">
        <span class={one.primary.status === one.shadow.status ? "quiet" : "differs"}>
          {statusName(one.primary.status)} → {statusName(one.shadow.status)}
        </span>
      </td>
      <td data-label="latency" class="num">
        <span class="quiet">
          {formatUs(one.primary.totalUs)} → {formatUs(one.shadow.totalUs)}
        </span>{" "}
        {one.latencyRatio !== null && <span class="ratio">{formatRatio(one.latencyRatio)}</span>}
      </td>
      <td data-label="found by">
        {one.divergences.map((found) => (
          <span key={found.rule} class={`found is-${found.grade}`} title={found.sentence}>
            {rule(found.rule).label}
          </span>
        ))}
      </td>
    </tr>
  );
}

interface Older {
  readonly key: string;
  readonly pairs: readonly PairItem[];
  readonly cursor: string | null;
}

/** The live first page with older ones behind it; another choice starts over. */
function useOlder(page: PairsResponse | null, isOutdated: boolean, place: Place, root: string) {
  const key = JSON.stringify({ ...place, pair: "" });
  const [older, setOlder] = useState<Older>({ key, pairs: [], cursor: null });
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [isLoading, setLoading] = useState(false);
  const leave = useRef<AbortController | null>(null);
  // Another choice ends what was asked for the old one.
  useEffect(() => {
    return () => leave.current?.abort();
  }, [key]);

  const isSame = older.key === key && !isOutdated;
  const kept = isSame ? older.pairs : [];
  const seen = new Set<string>();
  const rows = [...(page?.pairs ?? []), ...kept].filter((one) => {
    if (seen.has(one.correlationId)) return false;
    seen.add(one.correlationId);
    return true;
  });
  const next = isSame && older.pairs.length > 0 ? older.cursor : (page?.nextCursor ?? null);

  const loadMore = () => {
    if (next === null) return;
    const controller = new AbortController();
    leave.current = controller;
    setLoading(true);
    const { run, shadow, method, route, rule: ruleName } = place;
    fetchAnswer<PairsResponse>(
      {
        path: `${root}/pairs`,
        query: {
          run,
          shadow,
          method,
          route,
          rule: ruleName,
          divergent: "true",
          limit: "50",
          cursor: next,
        },
        windowMinutes: WINDOWS[place.window] ?? 0,
      },
      controller.signal,
    )
      .then((answer) => {
        setLoading(false);
        if (!answer.ok) {
          setTrouble(answer.trouble);
          return;
        }
        setTrouble(null);
        // The first page's rows are kept too: while it moves on, nothing may fall between the two.
        setOlder({
          key,
          pairs: [...rows, ...answer.data.pairs].slice(0, ROWS_MAX),
          cursor: answer.data.nextCursor,
        });
      })
      .catch(() => setLoading(false));
  };
  return { rows: rows.slice(0, ROWS_MAX), next, loadMore, trouble, isLoading };
}
