/** One question to the API. The range is relative, so that a page left open moves with the time. */
export interface Ask {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly windowMinutes?: number;
}

export function askKey(ask: Ask): string {
  return JSON.stringify([ask.path, ask.query ?? {}, ask.windowMinutes ?? 0]);
}

export function askUrl(ask: Ask, nowMs: number): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(ask.query ?? {})) {
    if (value !== "") parameters.set(name, value);
  }
  if (ask.windowMinutes) {
    // Whole minutes: the rollups are per minute, and neighbouring refreshes ask the same.
    const from = Math.floor(nowMs / 60_000) * 60_000 - ask.windowMinutes * 60_000;
    parameters.set("from", new Date(from).toISOString());
  }
  const query = parameters.toString();
  return query === "" ? ask.path : `${ask.path}?${query}`;
}
