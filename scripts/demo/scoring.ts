import { type DemoRequest, hash, type Transaction } from "./traffic.ts";

/** v1 is what users hear (and the control); v2 is the version under test. */
export type Version = "v1" | "v2";

export interface DemoAnswer {
  readonly status: number;
  /** Empty for none. */
  readonly body: string;
  /** How long the service takes for it. */
  readonly delayMs: number;
}

/** What changes from one answer to the next although nothing is wrong. */
export interface Noise {
  readonly servedAt: string;
  readonly requestId: string;
}

/** What v2 does differently with one request. Everything follows from the request's content alone. */
export interface Planted {
  /** Halves are rounded to even instead of up: scores differ by 0.01. */
  readonly rounding: boolean;
  /** exchangeRate is missing for Brazil. */
  readonly missingField: boolean;
  /** A 500: one in 40 requests from India that carry a body, about 0.5 % of all of those. */
  readonly error: boolean;
  /** 90 to 150 ms more, for 3 % of all requests. */
  readonly slow: boolean;
  /** A timestamp and a request id: differ between any two servers, v1 against v1 too. */
  readonly noise: boolean;
}

type Parts = Pick<DemoRequest, "method" | "path" | "country" | "body">;

const NO_NOISE: Noise = { servedAt: "", requestId: "" };

export function plantedIn(request: Parts): Planted {
  const transactions = transactionsOf(request);
  const differs = (one: Transaction) => scoreText("v1", one) !== scoreText("v2", one);
  const error = failsInV2(request);
  return {
    rounding: !error && transactions.some(differs),
    missingField: !error && transactions.some(({ country }) => country === "BR"),
    error,
    slow: isSlowInV2(request),
    noise: routeOf(request) === "transactions",
  };
}

/** The body differs for another reason than noise. */
export function bodyDiffers(planted: Planted): boolean {
  return planted.rounding || planted.missingField;
}

export function answerTo(request: Parts, version: Version, noise: Noise = NO_NOISE): DemoAnswer {
  const delayMs = 2 + (hash("delay", keyOf(request)) % 4) + slowness(request, version);
  if (version === "v2" && failsInV2(request)) {
    return { status: 500, body: JSON.stringify({ error: "scoring model not loaded" }), delayMs };
  }
  const transactions = transactionsOf(request);
  switch (routeOf(request)) {
    case "score": {
      const [one] = transactions;
      if (one === undefined) return { status: 400, body: '{"error":"no transaction"}', delayMs };
      return { status: 200, body: JSON.stringify(scored(version, one)), delayMs };
    }
    case "batch": {
      const results = transactions.map((one) => scored(version, one));
      return { status: 200, body: JSON.stringify({ results }), delayMs };
    }
    case "transactions":
      return { status: 200, body: JSON.stringify(history(request, noise)), delayMs };
    case "rules":
      return { status: 200, body: JSON.stringify(rulesFor(request.country)), delayMs };
    case "blocklist":
      return { status: 204, body: "", delayMs };
    default:
      return { status: 404, body: '{"error":"no such path"}', delayMs };
  }
}

function routeOf({ path }: Parts): string {
  return /^\/v1\/([a-z]+)/.exec(path)?.[1] ?? "";
}

function transactionsOf(request: Parts): readonly Transaction[] {
  if (request.body === "") return [];
  const value = JSON.parse(request.body) as Transaction & { transactions?: Transaction[] };
  return value.transactions ?? [value];
}

/** Enough of a body to hold its id, which stands first. */
const KEY_CHARS = 48;

/** What a request is about: two copies of it have the same. */
function keyOf({ path, body }: Parts): string {
  return `${path}\n${body.slice(0, KEY_CHARS)}`;
}

function failsInV2(request: Parts): boolean {
  const { country, body } = request;
  return country === "IN" && body !== "" && hash("error", keyOf(request)) % 40 === 0;
}

function isSlowInV2(request: Parts): boolean {
  return hash("slow", keyOf(request)) % 100 < 3;
}

function slowness(request: Parts, version: Version): number {
  return version === "v2" && isSlowInV2(request) ? 90 + (hash("tail", keyOf(request)) % 60) : 0;
}

function scored(version: Version, transaction: Transaction) {
  const score = Number(scoreText(version, transaction));
  return {
    transactionId: transaction.transactionId,
    score,
    decision: score >= 0.9 ? "decline" : score >= 0.7 ? "review" : "approve",
    ...(version === "v2" && transaction.country === "BR"
      ? {}
      : { exchangeRate: 1 + (hash("rate", transaction.currency) % 900) / 100 }),
    factors: ["velocity", "merchant", "geography"].map((name) => ({
      name,
      weight: (hash(name, transaction.transactionId) % 100) / 100,
    })),
  };
}

/** Two digits. v1 rounds halves up, v2 to even: they part for one score in twenty. */
function scoreText(version: Version, { transactionId }: Transaction): string {
  const thousandths = hash("score", transactionId) % 1000;
  const below = Math.floor(thousandths / 10);
  const rest = thousandths % 10;
  const up = rest > 5 || (rest === 5 && (version === "v1" || below % 2 === 1));
  return ((below + (up ? 1 : 0)) / 100).toFixed(2);
}

function history(request: Parts, noise: Noise) {
  const id = /\/(\d+)/.exec(request.path)?.[1] ?? "";
  return {
    transactionId: id,
    country: request.country,
    events: ["authorized", "captured"].map((event, i) => ({
      event,
      amountCents: 100 + (hash(event, id, i) % 500_000),
    })),
    servedAt: noise.servedAt,
    requestId: noise.requestId,
  };
}

/** Some 5 KB. */
function rulesFor(country: string) {
  return {
    country,
    rules: Array.from({ length: 60 }, (_, i) => ({
      rule: `rule-${i}`,
      enabled: hash("enabled", country, i) % 4 !== 0,
      thresholdCents: hash("threshold", country, i) % 1_000_000,
    })),
  };
}
