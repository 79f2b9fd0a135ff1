/** A JSON object as it came: nothing about it is known. */
export type Fields = Readonly<Record<string, unknown>>;

/** Largest value of a 32-bit counter of the filter. */
export const U32_MAX = 4_294_967_295;

const SHOWN_CHARS_MAX = 40;

/** The value as a dead letter may show it: one line, short, well-formed whatever came. */
export function show(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "string" && value.length > SHOWN_CHARS_MAX) {
    return `${show(value.slice(0, SHOWN_CHARS_MAX))}… (${value.length} characters)`;
  }
  // JSON escapes lone surrogates and the control characters below the space, not those above ASCII.
  return (JSON.stringify(value) ?? "missing").replace(/\p{Cc}/gu, "\uFFFD");
}

export function wrong(field: string, value: unknown, expected: string): string {
  const is = value === undefined ? "is missing" : `is ${show(value)}`;
  return `${field} ${is}, expected ${expected}`;
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A whole number from 0 that a double holds exactly. -0 is none: it would become another text. */
export function isCount(value: unknown, max = Number.MAX_SAFE_INTEGER): value is number {
  return (
    Number.isInteger(value) &&
    (value as number) <= max &&
    !((value as number) < 0) &&
    !Object.is(value, -0)
  );
}

export const A_COUNT = `an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;

const EXPERIMENT = /^[a-z0-9][a-z0-9-]{0,62}$/;
export const isExperiment = (value: unknown): value is string =>
  typeof value === "string" && EXPERIMENT.test(value);
export const AN_EXPERIMENT = "1 to 63 of a-z, 0-9 and -";

const WORKER = /^[0-9a-f]{16}$/;
export const isWorker = (value: unknown): value is string =>
  typeof value === "string" && WORKER.test(value);
export const A_WORKER = "16 lower-case hexadecimal digits";

const RUN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
export const isRun = (value: unknown): value is string =>
  typeof value === "string" && RUN.test(value);
export const A_RUN = "1 to 63 of A-Z, a-z, 0-9, ., _ and -";

const LEG = /^[a-z0-9][a-z0-9-]{0,30}$/;
export const isLeg = (value: unknown): value is string =>
  typeof value === "string" && LEG.test(value);
export const A_LEG = "1 to 31 of a-z, 0-9 and -";

const PRINTABLE_ASCII = /^[ -~]*$/;
const LONE_SURROGATE = /\p{Cs}/u;

/** A lone surrogate has no UTF-8: one of them would make the store refuse a whole insert. */
export function isText(value: unknown, charsMax: number): value is string {
  return (
    typeof value === "string" &&
    value.length <= charsMax &&
    (PRINTABLE_ASCII.test(value) || !LONE_SURROGATE.test(value))
  );
}

export const aText = (charsMax: number): string =>
  `well-formed text of at most ${charsMax} characters`;

const KNOWN_MAX = 8_192;
const known = new Map<string, string>();

/**
 * `isText` for what repeats from record to record (routes, media types): answers the one copy that
 * all records share, so a waiting observation takes 0.5 KB and most checks are a look-up. Null when
 * it is not such a text.
 *
 * Bounded: a full table starts anew. What is answered does not depend on what the table holds.
 */
export function sharedText(value: unknown, charsMax: number): string | null {
  if (typeof value !== "string" || value.length > charsMax) return null;
  const copy = known.get(value);
  if (copy !== undefined) return copy;
  if (!isText(value, charsMax)) return null;
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(value, value);
  return value;
}

/** Fields of the object that are not in `names`: a later minor's. */
export function countUnknown(fields: Fields, names: ReadonlySet<string>): number {
  let count = 0;
  for (const name of Object.keys(fields)) if (!names.has(name)) count += 1;
  return count;
}
