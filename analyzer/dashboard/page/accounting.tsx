import type { JSX } from "preact";
import type { AccountingResponse, LegAccount } from "../../http/schemas.ts";
import { capitalised, formatCount, formatCountOf, formatRate } from "./format.ts";
import { Ago, Scroll, Section, When } from "./parts.tsx";
import type { Look } from "./words.ts";
import { drop, ending, flow, unsampled, worker } from "./words.ts";

/** Where every request went: the bars are the whole, the tables name each part. */
export function Accounting({ accounting }: { accounting: AccountingResponse }): JSX.Element {
  const { requests, joined, batches } = accounting;
  const matchedParts: Part[] = [
    {
      name: "sampled",
      count: requests.sampled,
      look: "paired",
      label: "sampled",
      means: "mirrored and observed",
    },
  ];
  for (const [name, count] of nonZero(requests.unsampled)) {
    matchedParts.push({ name, count, look: "unsampled", ...unsampled(name) });
  }
  const flowParts: Part[] = accounting.flow
    .filter((item) => item.requests > 0)
    .map((item) => {
      const word = flow(item.name);
      return {
        name: item.name,
        count: item.requests,
        look: word.look,
        label: word.label,
        means: item.sentence === "" ? word.means : item.sentence,
      };
    });
  return (
    <Section
      id="accounting"
      title="Accounting"
      hint="Where every request went. Counted by the filters, checked against the rows that are stored. Always the whole run."
      more={
        <>
          <p>
            Each Envoy worker publishes a ledger of what it saw, sampled, published and dropped. The
            analyzer sets the stored rows against it. What has no reason is <b>unexplained</b>, and
            should be 0.
          </p>
          <p>
            Ledgers come every few seconds, rows at once: right after a burst some requests are{" "}
            <b>under way</b> or <b>ahead</b> of the newest ledger. Both settle by themselves.
          </p>
        </>
      }
    >
      <p class={accounting.balanced ? "balance is-balanced" : "balance is-off"}>
        {requests.seen > 0 && (
          <span class="balance-sign" aria-hidden="true">
            {accounting.balanced ? "✓" : "≠"}
          </span>
        )}
        <span>{capitalised(accounting.sentence)}</span>
      </p>
      {!accounting.balanced && (
        <p class="unexplained">
          <b>{formatCountOf(accounting.unexplained, "record")} unexplained.</b> Run{" "}
          <code>shadowgraph doctor</code>.
        </p>
      )}
      {accounting.reasons.length > 0 && (
        <ul class="reasons">
          {accounting.reasons.map((reason) => (
            <li key={reason}>{capitalised(reason)}</li>
          ))}
        </ul>
      )}

      <div class="splits">
        <Split title="Requests that matched" total={requests.seen} of="seen" parts={matchedParts} />
        <Split
          title="Of them sampled"
          total={requests.sampled + accounting.ahead}
          of="sampled"
          parts={flowParts}
        />
      </div>
      {requests.seen > 0 && (
        <details class="list">
          <summary>What each part means</summary>
          <dl class="meanings">
            {[...matchedParts, ...flowParts].map((part) => (
              <div key={`${part.look} ${part.name}`}>
                <dt>
                  <span class={`swatch look-${part.look}`} aria-hidden="true" />
                  {part.label}
                </dt>
                <dd>{part.means}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}

      <h3>Records by leg</h3>
      <Legs legs={accounting.legs} />
      <dl class="inline-facts">
        <Item name="batches taken by NATS" count={batches.sent} />
        <Item name="sent again" count={batches.retried} />
        <Item name="given up" count={batches.failed} isBad />
        <Item name="lost on the way" count={batches.lost} isBad />
        <Item name="duplicates" count={joined.duplicates} />
        <Item name="control missing" count={joined.controlMissing} />
        <Item name="dead letters" count={accounting.deadLetters} isBad />
      </dl>
      <Workers workers={accounting.workers} />
    </Section>
  );
}

interface Part {
  readonly name: string;
  readonly count: number;
  readonly look: Look;
  readonly label: string;
  readonly means: string;
}

function Split(props: {
  title: string;
  total: number;
  of: string;
  parts: readonly Part[];
}): JSX.Element {
  const { title, total, of, parts } = props;
  return (
    <div class="split">
      <h3>
        {title}: <span class="figure">{formatCount(total)}</span>
      </h3>
      {total === 0 ? (
        <p class="quiet">none yet</p>
      ) : (
        <>
          <div class="bar" aria-hidden="true">
            {parts.map((part) => (
              <span
                key={part.name}
                class={`bar-part look-${part.look}`}
                style={{ flexGrow: part.count / total }}
                title={`${part.label}: ${formatCount(part.count)}`}
              />
            ))}
          </div>
          <table class="parts">
            <caption class="visually-hidden">
              {title}: {formatCount(total)}, by where they went
            </caption>
            <thead class="visually-hidden">
              <tr>
                <th scope="col">part</th>
                <th scope="col">requests</th>
                <th scope="col">share of {of}</th>
              </tr>
            </thead>
            <tbody>
              {parts.map((part) => (
                <tr key={part.name} title={part.means}>
                  <th scope="row">
                    <span class={`swatch look-${part.look}`} aria-hidden="true" />
                    {part.label}
                  </th>
                  <td class="num">{formatCount(part.count)}</td>
                  <td class="num quiet">{formatRate(part.count, total)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </div>
  );
}

function Item(props: { name: string; count: number; isBad?: boolean }): JSX.Element {
  return (
    <div class={props.isBad && props.count > 0 ? "is-bad" : ""}>
      <dt>{props.name}</dt>
      <dd>{formatCount(props.count)}</dd>
    </div>
  );
}

function Legs({ legs }: { legs: readonly LegAccount[] }): JSX.Element {
  if (legs.length === 0) return <p class="quiet">No leg has reported yet.</p>;
  return (
    <Scroll label="Records by leg">
      <table class="table legs">
        <caption class="visually-hidden">
          Each leg's records from the filter to the store: ended = published + dropped + waiting;
          published + ahead = received (in no row: +) + on the way + lost
        </caption>
        <thead>
          <tr>
            <th scope="col">leg</th>
            <th
              scope="col"
              class="num"
              title="attempts that the observers saw; each makes one record"
            >
              attempts
            </th>
            <th scope="col" class="num" title="in batches that NATS took">
              published
            </th>
            <th scope="col" class="num" title="in a stored row">
              received
            </th>
            <th scope="col" class="num" title="running, waiting in the filter, or in the stream">
              under way
            </th>
            <th scope="col" class="num" title="given up by the filter because a bound was reached">
              dropped
            </th>
            <th scope="col" class="num" title="published, and the window closed without a row">
              lost
            </th>
            <th scope="col">endings other than complete</th>
          </tr>
        </thead>
        <tbody>
          {legs.map((leg) => {
            const drops = nonZero(leg.dropped);
            const dropped = drops.reduce((sum, [, count]) => sum + count, 0);
            const endings = nonZero(leg.endings).filter(([name]) => name !== "complete");
            return (
              <tr key={leg.leg}>
                <th scope="row">{leg.leg}</th>
                <td class="num">{formatCount(leg.attempts)}</td>
                <td class="num">{formatCount(leg.published)}</td>
                <td class="num">
                  {formatCount(leg.received)}
                  {leg.absorbed > 0 && (
                    <span
                      class="quiet"
                      title="controls beside a primary without its shadow: they came and are in no row"
                    >
                      {" "}
                      +{formatCount(leg.absorbed)}
                    </span>
                  )}
                </td>
                <td class="num">{formatCount(leg.running + leg.waiting + leg.onTheWay)}</td>
                <td
                  class={dropped > 0 ? "num is-bad" : "num"}
                  title={drops
                    .map(([name, count]) => `${drop(name).label}: ${formatCount(count)}`)
                    .join(", ")}
                >
                  {formatCount(dropped)}
                </td>
                <td class={leg.lost > 0 ? "num is-bad" : "num"}>{formatCount(leg.lost)}</td>
                <td>
                  {endings.length === 0 ? (
                    <span class="quiet">none</span>
                  ) : (
                    endings.map(([name, count]) => (
                      <span key={name} class="ending" title={ending(name).means}>
                        {ending(name).label} <b>{formatCount(count)}</b>
                      </span>
                    ))
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

function nonZero(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).filter(([, count]) => count > 0);
}

function Workers({ workers }: { workers: AccountingResponse["workers"] }): JSX.Element {
  const counts = new Map<string, number>();
  for (const one of workers) counts.set(one.state, (counts.get(one.state) ?? 0) + 1);
  const isBad = (state: string) => state === "silent" || state === "unknown";
  const summary = [...counts].map(
    ([state, count]) => `${formatCount(count)} ${worker(state).label}`,
  );
  return (
    <details class="list">
      <summary>
        Workers: {workers.length === 0 ? "none has reported" : summary.join(", ")}
        {workers.some((one) => isBad(one.state)) && <span class="is-bad"> (look)</span>}
      </summary>
      <Scroll label="Workers">
        <table class="table">
          <caption class="visually-hidden">Envoy workers that reported in this run</caption>
          <thead>
            <tr>
              <th scope="col">worker</th>
              <th scope="col">state</th>
              <th scope="col">newest ledger</th>
              <th scope="col">meaning</th>
            </tr>
          </thead>
          <tbody>
            {workers.map((one) => (
              <tr key={one.worker}>
                <th scope="row">
                  <code>{one.worker}</code>
                </th>
                <td class={isBad(one.state) ? "is-bad" : ""}>{worker(one.state).label}</td>
                <td>
                  {one.lastClockAt === null ? (
                    "never"
                  ) : (
                    <>
                      <When at={one.lastClockAt} />{" "}
                      <span class="quiet">
                        (<Ago at={one.lastClockAt} />)
                      </span>
                    </>
                  )}
                </td>
                <td class="quiet">{worker(one.state).means}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}
