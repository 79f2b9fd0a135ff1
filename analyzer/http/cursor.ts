import { RequestError } from "./problems.ts";

/** As ClickHouse writes one. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The last row's key, with the list's name in front: a cursor of another list is told from one of this. */
export function encodeCursor(list: string, key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([list, ...key])).toString("base64url");
}

/**
 * @param types of the key's parts, in order
 * @throws RequestError PARAMETER_INVALID for anything that encodeCursor did not make
 */
export function decodeCursor(
  cursor: string,
  list: string,
  types: readonly ("string" | "number" | "uuid")[],
): (string | number)[] {
  const [name, ...key] = parse(cursor);
  const fits =
    name === list &&
    key.length === types.length &&
    key.every((part, index) =>
      types[index] === "number"
        ? Number.isSafeInteger(part) && (part as number) >= 0
        : types[index] === "uuid"
          ? typeof part === "string" && UUID.test(part)
          : typeof part === "string" && part.length <= 256 && !/\p{Surrogate}/u.test(part),
    );
  if (!fits) {
    throw new RequestError(
      "PARAMETER_INVALID",
      "cursor is not one that this list gave, expected nextCursor of the page before",
      { parameter: "cursor" },
    );
  }
  return key as (string | number)[];
}

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
