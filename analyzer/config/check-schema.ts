import { Settings } from "typebox/system";
import { Value } from "typebox/value";
import { nearestName } from "./nearest.ts";
import type { KeyPath, Problem } from "./problem.ts";
import { FileSchema } from "./schema.ts";

/** Problems found at once. TypeBox stops at 8 of its own, and one of ours can be two or three of those. */
const ERRORS_MAX = 1_000;

/** Keys that people look for in the file, although secrets never stand there. */
const SECRETS: Readonly<Record<string, string>> = {
  "nats.password": "SHADOWGRAPH_NATS_PASSWORD",
  "nats.token": "SHADOWGRAPH_NATS_TOKEN",
  "clickhouse.password": "CLICKHOUSE_PASSWORD",
};

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly expected?: string;
}

/** A copy with the defaults filled in. Wrong values stay as they are. */
export function fillDefaults(raw: unknown): unknown {
  return Value.Default(FileSchema, structuredClone(raw));
}

/** Every wrong type, value out of range, unknown key and missing key of a file with its defaults filled in. */
export function checkSchema(value: unknown): Problem[] {
  const problems = new Map<string, Problem>();
  const add = (path: KeyPath, message: string, atKey: boolean): void => {
    const id = path.join("\0");
    if (!problems.has(id)) problems.set(id, { path, message, atKey });
  };
  for (const error of schemaErrors(value)) {
    const path = pathOf(error.instancePath, value);
    const node = nodeAt(path);
    if (error.keyword === "additionalProperties") {
      for (const key of error.params.additionalProperties) {
        add([...path, key], unknownKey(path, key, Object.keys(node?.properties ?? {})), true);
      }
    } else if (error.keyword === "required") {
      for (const key of error.params.requiredProperties) {
        const expected = node?.properties?.[key]?.expected;
        add([...path, key], `is missing${expected ? `: ${expected}` : ""}`, false);
      }
    } else if (error.keyword !== "boolean") {
      add(path, wrongValue(valueAt(value, path), node?.expected ?? error.message), false);
    }
  }
  return [...problems.values()];
}

function schemaErrors(value: unknown) {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: ERRORS_MAX });
  try {
    return Value.Errors(FileSchema, value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

function unknownKey(parent: KeyPath, key: string, known: readonly string[]): string {
  const place = parent.length === 0 ? "" : `${parent.join(".")}.`;
  const secrets = Object.keys(SECRETS)
    .filter((name) => name.startsWith(place))
    .map((name) => name.slice(place.length));
  const near = nearestName(key, [...known, ...secrets]);
  const variable = near === null ? undefined : SECRETS[`${place}${near}`];
  if (variable !== undefined) return `secrets are not read from the file; set ${variable}`;
  return near === null
    ? `unknown key; known here: ${known.join(", ")}`
    : `unknown key; did you mean ${near}?`;
}

function wrongValue(value: unknown, expected: string): string {
  if (value === null) return `is empty, expected ${expected}; leave the key out for its default`;
  return `is ${shown(value)}, expected ${expected}`;
}

/** Short enough for one line. Never a secret: those do not stand in the file. */
function shown(value: unknown): string {
  if (Array.isArray(value))
    return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value === "string") {
    const text = value.length > 60 ? `${value.slice(0, 60)}…` : value;
    return JSON.stringify(text);
  }
  return String(value);
}

function pathOf(pointer: string, value: unknown): KeyPath {
  const path: (string | number)[] = [];
  let at = value;
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    path.push(Array.isArray(at) ? Number(key) : key);
    at = (at as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  }
  return path;
}

function nodeAt(path: KeyPath): SchemaNode | undefined {
  let node: SchemaNode | undefined = FileSchema as unknown as SchemaNode;
  for (const part of path) {
    node = typeof part === "number" ? node?.items : node?.properties?.[part];
  }
  return node;
}

function valueAt(value: unknown, path: KeyPath): unknown {
  let at = value;
  for (const part of path) at = (at as Readonly<Record<string | number, unknown>> | null)?.[part];
  return at;
}
