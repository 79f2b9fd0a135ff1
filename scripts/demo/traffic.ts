/** A request as a client of the scoring service would send it. The same index always gives the same request. */
export interface DemoRequest {
  readonly index: number;
  readonly method: "GET" | "POST" | "PUT";
  /** With query. */
  readonly path: string;
  readonly country: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for none. */
  readonly body: string;
  /** Sent without content-length: Shadowgraph leaves such requests out and counts them. */
  readonly chunked: boolean;
}

/** What a card payment looks like to the service. */
export interface Transaction {
  readonly transactionId: string;
  readonly amountCents: number;
  readonly currency: string;
  readonly country: string;
  readonly merchant: string;
  readonly card: { readonly scheme: string; readonly last4: string };
}

/** Country, its currency, and its share of the traffic in percent. */
const COUNTRIES: readonly (readonly [country: string, currency: string, percent: number])[] = [
  ["US", "USD", 34],
  ["IN", "INR", 20],
  ["DE", "EUR", 14],
  ["BR", "BRL", 12],
  ["GB", "GBP", 10],
  ["FR", "EUR", 6],
  ["JP", "JPY", 4],
];

/**
 * A number in 0 .. 2^32 - 1 that depends on nothing but its texts. FNV-1a with a final mix, so that the low bits are as even
 * as the high ones.
 */
export function hash(...parts: readonly (string | number)[]): number {
  let h = 0x811c9dc5;
  const text = parts.join("\n");
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 60 % single scores, 20 % look-ups, 10 % rule lists, 6 % batches, 4 % block-list entries. */
export function requestAt(index: number, seed = "demo"): DemoRequest {
  const country = countryOf(hash(seed, "country", index));
  const draw = hash(seed, "kind", index) % 100;
  const id = 10_000_000 + (hash(seed, "id", index) % 90_000_000);
  const headers = { "x-country": country, accept: "application/json" };
  const post = (path: string, value: object, chunked: boolean): DemoRequest => ({
    index,
    method: "POST",
    path,
    country,
    headers: { ...headers, "content-type": "application/json", "idempotency-key": `pay-${id}` },
    body: JSON.stringify(value),
    chunked,
  });
  const empty = { index, country, headers, body: "", chunked: false } as const;
  if (draw < 60) {
    const value = transaction(seed, `${id}`, country);
    return post("/v1/score", value, hash(seed, "chunked", index) % 100 === 0);
  }
  if (draw < 80) {
    return { ...empty, method: "GET", path: `/v1/transactions/${id}?include=history` };
  }
  if (draw < 90) return { ...empty, method: "GET", path: `/v1/rules?country=${country}` };
  if (draw < 96) {
    // 1 to 64 transactions, few of them large: some 200 bytes to 12 KB.
    const size = 2 ** (hash(seed, "size", index) % 7);
    const transactions = Array.from({ length: size }, (_, i) =>
      transaction(seed, `${id}${String(i).padStart(2, "0")}`, country),
    );
    return post("/v1/batch", { batchId: `${id}`, transactions }, false);
  }
  return { ...empty, method: "PUT", path: `/v1/blocklist/${id}` };
}

function transaction(seed: string, transactionId: string, country: string): Transaction {
  const currency = COUNTRIES.find(([name]) => name === country)?.[1] ?? "USD";
  return {
    transactionId,
    amountCents: 100 + (hash(seed, "amount", transactionId) % 500_000),
    currency,
    country,
    merchant: `m${hash(seed, "merchant", transactionId) % 5000}`,
    card: {
      scheme: hash(seed, "scheme", transactionId) % 3 === 0 ? "visa" : "mastercard",
      last4: String(hash(seed, "card", transactionId) % 10_000).padStart(4, "0"),
    },
  };
}

function countryOf(draw: number): string {
  let rest = draw % 100;
  for (const [country, , percent] of COUNTRIES) {
    if (rest < percent) return country;
    rest -= percent;
  }
  return "US";
}
