import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { OrphansResponse, SummaryResponse } from "../../http/schemas.ts";
import { formatCount, formatUs, shortId } from "./format.ts";
import { useLive } from "./live.ts";
import type { Place } from "./location.ts";
import { WINDOWS } from "./location.ts";
import { Scroll, Section, troubleTitle, When } from "./parts.tsx";
import { ending, orphan, statusName } from "./words.ts";

export function Orphans(props: {
  summary: SummaryResponse;
  root: string;
  place: Place;
}): JSX.Element {
  const { summary, root, place } = props;
  const [isOpen, setOpen] = useState(false);
  const reasons = Object.entries(summary.orphans).filter(([, count]) => count > 0);
  return (
    <Section
      id="orphans"
      title="Orphans"
      hint="Legs without a partner. They are in no pair, so no rate above contains them."
    >
      {reasons.length === 0 ? (
        <p class="good">None: every observed leg found its partner.</p>
      ) : (
        <>
          <table class="parts is-wide">
            <caption class="visually-hidden">Orphans by reason</caption>
            <thead class="visually-hidden">
              <tr>
                <th scope="col">reason</th>
                <th scope="col">legs</th>
                <th scope="col">meaning</th>
              </tr>
            </thead>
            <tbody>
              {reasons.map(([reason, count]) => (
                <tr key={reason}>
                  <th scope="row">
                    <span class="swatch look-unpaired" aria-hidden="true" />
                    {orphan(reason).label}
                  </th>
                  <td class="num">{formatCount(count)}</td>
                  <td class="quiet means">{orphan(reason).means}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <details class="list" onToggle={(event) => setOpen(event.currentTarget.open)}>
            <summary>Latest orphans</summary>
            {isOpen && <Latest root={root} place={place} />}
          </details>
        </>
      )}
    </Section>
  );
}

function Latest({ root, place }: { root: string; place: Place }): JSX.Element {
  const { run, method, route } = place;
  const live = useLive<{ orphans: OrphansResponse }>({
    orphans: {
      path: `${root}/orphans`,
      query: { run, method, route, limit: "25" },
      windowMinutes: WINDOWS[place.window] ?? 0,
    },
  });
  const { data, trouble } = live.feeds.orphans;
  if (data === null) {
    return <p class="waiting">{trouble === null ? "Asking…" : `${troubleTitle(trouble)}.`}</p>;
  }
  return (
    <Scroll label="Latest orphans">
      <table class="table">
        <caption class="visually-hidden">Latest orphans, newest first</caption>
        <thead>
          <tr>
            <th scope="col">id</th>
            <th scope="col">closed</th>
            <th scope="col">reason</th>
            <th scope="col">leg seen</th>
            <th scope="col">missing</th>
            <th scope="col">route</th>
            <th scope="col">status</th>
            <th scope="col" class="num">
              took
            </th>
            <th scope="col">ending</th>
          </tr>
        </thead>
        <tbody>
          {data.orphans.map((one) => (
            <tr key={`${one.correlationId} ${one.leg} ${one.missingLeg}`}>
              <th scope="row" title={one.correlationId}>
                <code>{shortId(one.correlationId)}</code>
              </th>
              <td>
                <When at={one.closedAt} />
              </td>
              <td>
                {orphan(one.reason).label}
                {one.batchLost && <span class="quiet"> (a batch was lost)</span>}
              </td>
              <td>{one.leg}</td>
              <td>{one.missingLeg}</td>
              <td class="route">
                <span class="method">{one.method}</span> {one.route}
              </td>
              <td>{statusName(one.status)}</td>
              <td class="num">{formatUs(one.totalUs)}</td>
              <td title={one.failure === "" ? ending(one.ending).means : one.failure}>
                {ending(one.ending).label}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
