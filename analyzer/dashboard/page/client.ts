import type { Problem } from "../../http/schemas.ts";
import type { Ask } from "./ask.ts";
import { askUrl } from "./ask.ts";

/** Why there is no answer, in the words of the page. */
export interface Trouble {
  /** `away`: no answer at all; `refused`: the API said no, and why. */
  readonly kind: "away" | "refused";
  readonly code: string;
  readonly status: number;
  readonly detail: string;
}

export type Answer<T> =
  | { readonly ok: true; readonly data: T }
  | { readonly ok: false; readonly trouble: Trouble };

/** A query that takes longer is of no use to a page that asks every few seconds. */
const TIMEOUT_MS = 15_000;

export async function fetchAnswer<T>(ask: Ask, signal: AbortSignal): Promise<Answer<T>> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(askUrl(ask, Date.now()), {
      signal: AbortSignal.any([signal, timeout]),
      headers: { accept: "application/json" },
      cache: "no-store",
    });
    const text = await response.text();
    body = parseJson(text);
  } catch {
    if (signal.aborted) throw new DOMException("left", "AbortError");
    const detail = timeout.aborted
      ? `no answer within ${TIMEOUT_MS / 1000} seconds`
      : "the connection was refused or cut";
    return { ok: false, trouble: { kind: "away", code: "", status: 0, detail } };
  }
  if (isProblem(body)) {
    const { code, status, detail } = body;
    return { ok: false, trouble: { kind: "refused", code, status, detail } };
  }
  // Health answers 503 with a full report when something that it needs is away: that is data.
  if (body !== undefined && (response.ok || ask.path === "health")) {
    return { ok: true, data: body as T };
  }
  const detail = `status ${response.status} without an explanation; is something between this page and the analyzer?`;
  return {
    ok: false,
    trouble: { kind: "away", code: "", status: response.status, detail },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProblem(body: unknown): body is Problem {
  if (typeof body !== "object" || body === null) return false;
  return "code" in body && "detail" in body && "title" in body;
}
