import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Ask } from "./ask.ts";
import { askKey } from "./ask.ts";
import type { Trouble } from "./client.ts";
import { fetchAnswer } from "./client.ts";

/** How often figures are asked for while somebody looks. */
const INTERVAL_MS = 3000;
/** After failures the pause doubles up to this. */
const INTERVAL_MAX_MS = 30_000;

export interface Feed<T> {
  /** The newest answer, kept while later ones fail. */
  readonly data: T | null;
  /** The data answers another question than the page now asks; the right answer is under way. */
  readonly outdated: boolean;
  readonly trouble: Trouble | null;
}

export interface Live<M> {
  readonly feeds: { readonly [K in keyof M]: Feed<M[K]> };
  /** When all answers were last complete; null before the first time. */
  readonly completeAtMs: number | null;
  readonly trouble: Trouble | null;
  /** When the next try is due; for showing only. */
  readonly nextAtMs: number | null;
  readonly paused: boolean;
  readonly setPaused: (paused: boolean) => void;
  readonly refresh: () => void;
}

type Asks<M> = { readonly [K in keyof M]: Ask | null };

interface Held {
  readonly key: string;
  readonly data: unknown;
  readonly trouble: Trouble | null;
}

/**
 * Keeps several answers fresh: asks all at once, waits, asks again. Hidden pages do not ask. A failure keeps what is shown
 * and asks ever more slowly.
 */
export function useLive<M extends object>(asks: Asks<M>): Live<M> {
  const [held, setHeld] = useState<Readonly<Record<string, Held>>>({});
  const [completeAtMs, setCompleteAtMs] = useState<number | null>(null);
  const [nextAtMs, setNextAtMs] = useState<number | null>(null);
  const [paused, setPaused] = useState(false);
  const [demand, setDemand] = useState(0);
  const [hidden, setHidden] = useState(document.hidden);
  const failures = useRef(0);
  const current = useRef(asks);
  current.current = asks;

  const names = Object.keys(asks) as (keyof M & string)[];
  const question = names.map((name) => keyOf(asks[name])).join("\n");

  useEffect(() => {
    const onVisibility = () => setHidden(document.hidden);
    document.addEventListener("visibilitychange", onVisibility);
    return () => document.removeEventListener("visibilitychange", onVisibility);
  }, []);

  const asked = useRef({ question: "", demand: -1 });
  // `question` stands for the asks, `demand` for the button.
  useEffect(() => {
    const isNew = asked.current.question !== question || asked.current.demand !== demand;
    if (hidden || (paused && !isNew)) return;
    const leave = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const round = async () => {
      asked.current = { question, demand };
      setNextAtMs(null);
      const startedAtMs = performance.now();
      let isComplete = true;
      await Promise.all(
        names.map(async (name) => {
          const ask = current.current[name];
          if (ask === null) return;
          const key = askKey(ask);
          const answer = await fetchAnswer<unknown>(ask, leave.signal);
          if (leave.signal.aborted) return;
          isComplete = isComplete && answer.ok;
          setHeld((before) => ({
            ...before,
            [name]: answer.ok
              ? { key, data: answer.data, trouble: null }
              : {
                  key: before[name]?.key ?? key,
                  data: before[name]?.data ?? null,
                  trouble: answer.trouble,
                },
          }));
        }),
      );
      if (leave.signal.aborted) return;
      failures.current = isComplete ? 0 : failures.current + 1;
      if (isComplete) setCompleteAtMs(Date.now());
      if (paused) return;
      // A page left open must not keep a slow ClickHouse busy: it asks at most a third of the time.
      const pauseMs = Math.max(INTERVAL_MS, 2 * (performance.now() - startedAtMs));
      const waitMs = Math.min(INTERVAL_MAX_MS, pauseMs * 2 ** Math.min(failures.current, 8));
      setNextAtMs(Date.now() + waitMs);
      timer = setTimeout(start, waitMs);
    };
    const start = () => {
      // Only leaving the page ends a round early, and then nobody waits for it.
      round().catch(() => undefined);
    };
    start();
    return () => {
      clearTimeout(timer);
      leave.abort();
    };
  }, [question, demand, hidden, paused]);

  const feeds: Record<string, Feed<unknown>> = {};
  let trouble: Trouble | null = null;
  for (const name of names) {
    const one = held[name];
    const key = keyOf(asks[name]);
    feeds[name] =
      one === undefined || key === ""
        ? { data: null, outdated: false, trouble: one?.trouble ?? null }
        : { data: one.data, outdated: one.key !== key, trouble: one.trouble };
    // An analyzer that is away says more than an answer that was refused.
    const its = feeds[name].trouble;
    if (its !== null && (trouble === null || its.kind === "away")) trouble = its;
  }
  const refresh = useCallback(() => {
    failures.current = 0;
    setDemand((n) => n + 1);
  }, []);
  return {
    feeds: feeds as Live<M>["feeds"],
    completeAtMs,
    trouble,
    nextAtMs,
    paused,
    setPaused,
    refresh,
  };
}

function keyOf(ask: Ask | null): string {
  return ask === null ? "" : askKey(ask);
}

/** The present, to the second, for ages; stands still while the page is hidden. */
export function useNow(): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNowMs(Date.now());
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}
