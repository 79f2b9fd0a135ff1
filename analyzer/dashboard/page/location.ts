// What the page shows is in the address after the #, so a link shows a colleague the same thing.

export interface Place {
  /** Null: the list of experiments. */
  readonly experiment: string | null;
  /** Empty: the newest run, the first shadow, all routes, all rules, no pair opened. */
  readonly run: string;
  readonly shadow: string;
  /** One of WINDOWS' keys; empty: the whole run. */
  readonly window: string;
  readonly method: string;
  readonly route: string;
  readonly rule: string;
  readonly pair: string;
}

/** How far back figures reach, in minutes. */
export const WINDOWS: Readonly<Record<string, number>> = {
  "15m": 15,
  "1h": 60,
  "6h": 360,
  "24h": 1440,
};

export const HOME: Place = {
  experiment: null,
  run: "",
  shadow: "",
  window: "",
  method: "",
  route: "",
  rule: "",
  pair: "",
};

const KEYS = ["run", "shadow", "window", "method", "route", "rule", "pair"] as const;

export function parsePlace(hash: string): Place {
  const text = hash.replace(/^#\/?/, "");
  const cut = text.indexOf("?");
  const path = cut < 0 ? text : text.slice(0, cut);
  if (path === "") return HOME;
  const parameters = new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1));
  const place: Record<string, string | null> = { experiment: decode(path) };
  for (const key of KEYS) place[key] = parameters.get(key) ?? "";
  return place as unknown as Place;
}

export function formatPlace(place: Place): string {
  if (place.experiment === null) return "#/";
  const parameters = new URLSearchParams();
  for (const key of KEYS) if (place[key] !== "") parameters.set(key, place[key]);
  const query = parameters.toString();
  return `#/${encodeURIComponent(place.experiment)}${query === "" ? "" : `?${query}`}`;
}

/** A link cut in the middle of an escape must not blank the page. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
