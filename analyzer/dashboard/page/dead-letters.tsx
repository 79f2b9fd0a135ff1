import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { DeadLettersResponse } from "../../http/schemas.ts";
import { formatCount, formatCountOf } from "./format.ts";
import { useLive } from "./live.ts";
import { Scroll, Section, troubleTitle, When } from "./parts.tsx";

export function DeadLetters({ count }: { count: number }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <Section
      id="dead-letters"
      title="Dead letters"
      hint="Messages and lines that could not be read. Kept for a person to look at; never counted as pairs."
    >
      {count === 0 ? (
        <p class="good">None in this experiment.</p>
      ) : (
        <p class="is-bad">{formatCountOf(count, "dead letter")} in this experiment.</p>
      )}
      <details class="list" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Latest of all experiments</summary>
        {isOpen && <Latest />}
      </details>
    </Section>
  );
}

function Latest(): JSX.Element {
  const live = useLive<{ letters: DeadLettersResponse }>({
    letters: { path: "api/v1/dead-letters", query: { limit: "25" } },
  });
  const { data, trouble } = live.feeds.letters;
  if (data === null) {
    return <p class="waiting">{trouble === null ? "Asking…" : `${troubleTitle(trouble)}.`}</p>;
  }
  if (data.deadLetters.length === 0) return <p class="quiet">None.</p>;
  return (
    <Scroll label="Dead letters">
      <table class="table">
        <caption class="visually-hidden">Latest dead letters, newest first</caption>
        <thead>
          <tr>
            <th scope="col" class="num">
              sequence
            </th>
            <th scope="col">received</th>
            <th scope="col">code</th>
            <th scope="col">what came and what was expected</th>
            <th scope="col">subject</th>
          </tr>
        </thead>
        <tbody>
          {data.deadLetters.map((one) => (
            <tr key={`${one.sequence} ${one.line}`}>
              <th scope="row" class="num">
                {formatCount(one.sequence)}
                {one.line > 0 && <span class="quiet"> line {one.line}</span>}
              </th>
              <td>
                <When at={one.receivedAt} />
              </td>
              <td>
                <code>{one.code}</code>
              </td>
              <td>
                {one.message}
                {one.excerpt !== "" && <code class="excerpt">{one.excerpt}</code>}
              </td>
              <td>
                <code>{one.subject}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
