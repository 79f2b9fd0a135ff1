import type { JSX } from "preact";
import type { SummaryResponse } from "../../http/schemas.ts";
import { formatCount, formatRate } from "./format.ts";
import { Scroll, Section } from "./parts.tsx";
import { statusName } from "./words.ts";

export function Statuses({ summary }: { summary: SummaryResponse }): JSX.Element | null {
  const { statuses, pairs } = summary;
  if (statuses.length === 0) return null;
  const rows = unique(statuses.map((one) => one.primary));
  const columns = unique(statuses.map((one) => one.shadow));
  const at = new Map(statuses.map((one) => [`${one.primary} ${one.shadow}`, one.pairs]));
  return (
    <Section
      id="statuses"
      title="Statuses"
      hint="Pairs by what each side answered. On the diagonal both answered the same."
    >
      <Scroll label="Statuses">
        <table class="table matrix">
          <caption class="visually-hidden">
            Pairs by the primary's status (rows) and the shadow's (columns)
          </caption>
          <thead>
            <tr>
              <th scope="col" class="corner">
                primary ↓ shadow →
              </th>
              {columns.map((status) => (
                <th key={status} scope="col" class="num">
                  {statusName(status)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((primary) => (
              <tr key={primary}>
                <th scope="row">{statusName(primary)}</th>
                {columns.map((shadow) => {
                  const count = at.get(`${primary} ${shadow}`) ?? 0;
                  const look = primary === shadow ? "same" : count > 0 ? "other" : "none";
                  return (
                    <td
                      key={shadow}
                      class={`num is-${look}`}
                      title={`${formatCount(count)} of ${formatCount(pairs)} pairs, ${formatRate(count, pairs)}`}
                    >
                      {count === 0 ? (
                        <>
                          <span aria-hidden="true">·</span>
                          <span class="visually-hidden">0</span>
                        </>
                      ) : (
                        formatCount(count)
                      )}
                      {look === "other" && (
                        <span class="cell-count">{formatRate(count, pairs)}</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function unique(values: readonly number[]): number[] {
  // No answer (0) comes last, behind the 5xx that it resembles.
  return [...new Set(values)].sort((a, b) => (a || 1000) - (b || 1000));
}
