import type { JSX } from "preact";
import type { SummaryResponse } from "../../http/schemas.ts";
import { formatCount } from "./format.ts";
import { Section, Share } from "./parts.tsx";

export function Segments({ summary }: { summary: SummaryResponse }): JSX.Element | null {
  if (summary.segments.length === 0) return null;
  const names = [...new Set(summary.segments.map((one) => one.name))];
  return (
    <Section
      id="segments"
      title="Segments"
      hint="The same pairs by the request headers that the configuration keeps in clear. A segment that stands out is often the cause."
    >
      <div class="segments">
        {names.map((name) => {
          const values = summary.segments.filter((one) => one.name === name);
          const top = Math.max(...values.map((one) => one.divergentPairs / Math.max(1, one.pairs)));
          return (
            <table key={name} class="table">
              <caption>{name}</caption>
              <thead>
                <tr>
                  <th scope="col">value</th>
                  <th scope="col" class="num">
                    pairs
                  </th>
                  <th scope="col" class="num">
                    differ
                  </th>
                  <th scope="col" class="num">
                    divergent
                  </th>
                  <td class="wide" aria-hidden="true" />
                </tr>
              </thead>
              <tbody>
                {values.map((one) => (
                  <tr key={one.value}>
                    <th scope="row">{one.value === "" ? "(empty)" : one.value}</th>
                    <td class="num">{formatCount(one.pairs)}</td>
                    <td class="num strong">
                      <Share part={one.divergentPairs} of={one.pairs} />
                    </td>
                    <td class="num quiet">{formatCount(one.divergentPairs)}</td>
                    <td class="wide" aria-hidden="true">
                      <span class="rate">
                        {one.divergentPairs > 0 && (
                          <span
                            class="rate-shadow"
                            style={{
                              width: `${top > 0 ? (100 * one.divergentPairs) / Math.max(1, one.pairs) / top : 0}%`,
                            }}
                          />
                        )}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          );
        })}
      </div>
    </Section>
  );
}
