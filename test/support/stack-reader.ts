import type { AccountingResponse } from "../../analyzer/http/schemas.ts";
import { EXPERIMENT, type Stack } from "../../scripts/demo/stack.ts";
import { waitFor } from "./wait.ts";

/** What ended up in ClickHouse, and the books that the analyzer keeps about it. */
export class StackReader {
  readonly #stack: Stack;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  async rows<T>(select: string): Promise<T[]> {
    const { port } = this.#stack.clickhouse;
    const response = await fetch(
      `http://127.0.0.1:${port}/?database=shadowgraph&output_format_json_quote_64bit_integers=0`,
      { method: "POST", body: `${select} FORMAT JSONEachRow` },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as T);
  }

  async count(table: string, where = "1"): Promise<number> {
    const [row] = await this.rows<{ n: number }>(
      `SELECT count() AS n FROM ${table} WHERE ${where}`,
    );
    return row?.n ?? 0;
  }

  async accounting(): Promise<AccountingResponse> {
    const url = `${this.#stack.pageUrl}/api/v1/experiments/${EXPERIMENT}/accounting`;
    const response = await fetch(url);
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as AccountingResponse;
  }

  /** The accounting once the filter has told of `seen` requests and each of them has come to its end. */
  settled(seen: number, timeoutMs = 60_000): Promise<AccountingResponse> {
    return waitFor(
      `an accounting of ${seen} requests with nothing under way`,
      async () => {
        const books = await this.accounting();
        const done = books.requests.seen === seen && books.joined.waiting === 0;
        const rest = books.legs.every(
          ({ onTheWay, running, waiting }) => onTheWay + running + waiting === 0,
        );
        if (done && rest && books.ahead === 0) return books;
        throw new Error(`${books.sentence} ${JSON.stringify(books.legs)}`);
      },
      { timeoutMs, intervalMs: 250 },
    );
  }
}

/** Whether every sum of the books comes out: the promise that nothing vanishes without a reason. */
export function unbalanced(books: AccountingResponse): string[] {
  const wrong: string[] = [];
  const same = (what: string, left: number, right: number): void => {
    if (left !== right) wrong.push(`${what}: ${left} is not ${right}`);
  };
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((total, n) => total + n, 0);
  const { seen, sampled, unsampled } = books.requests;
  same("seen = sampled + unsampled", seen, sampled + sum(unsampled));
  for (const leg of books.legs) {
    const { published, dropped, waiting, received, absorbed, onTheWay, lost } = leg;
    same(`${leg.leg}: attempts = running + ended`, leg.attempts, leg.running + leg.ended);
    same(`${leg.leg}: ended = the sum of endings`, leg.ended, sum(leg.endings));
    same(
      `${leg.leg}: ended = published + dropped + waiting`,
      leg.ended,
      published + sum(dropped) + waiting,
    );
    same(
      `${leg.leg}: published + ahead = received + absorbed + on the way + lost`,
      published + leg.ahead,
      received + absorbed + onTheWay + lost,
    );
  }
  const parts = books.flow.reduce((total, { requests }) => total + requests, 0);
  same("sampled + ahead = the parts of the flow", sampled + books.ahead, parts);
  same("unexplained", books.unexplained, 0);
  if (!books.balanced) wrong.push("balanced is false");
  return wrong;
}

/** Requests by the way they went. */
export function flowOf(books: AccountingResponse): Record<string, number> {
  return Object.fromEntries(books.flow.map(({ name, requests }) => [name, requests]));
}
