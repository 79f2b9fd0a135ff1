import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { decodeMessage } from "../../analyzer/observation/decode.ts";
import type { Observation } from "../../analyzer/observation/observation.ts";

interface Vector {
  readonly why: string;
  readonly kind: "record" | "batch" | "ledger";
  readonly subject?: string;
  readonly decoder?: {
    readonly unknown?: number;
    readonly deadLetters?: readonly { line?: number; code: string }[];
  };
  readonly fields: unknown;
  readonly bytes: string;
}
type Fields = Readonly<Record<string, unknown>>;

const folder = new URL("../../wire/vectors/", import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name): [string, Vector] => [name, JSON.parse(readFileSync(new URL(name, folder), "utf8"))]);

const HEADER =
  '{"type":"batch","version":"1.0","experiment":"fraud","partition":3,"worker":"8899aabbccddeeff","number":1,"records":1,"clockUs":1795420800200000}\n';

/** A record's vector is one line: put behind a header it is a message. */
function decode({ kind, subject, bytes }: Vector) {
  return decodeMessage({
    subject: subject ?? "shadow.v1.fraud.3",
    data: new TextEncoder().encode(kind === "record" ? HEADER + bytes : bytes),
    sequence: 1,
    receivedAtUs: 1,
    partitions: 16,
  });
}

/** The observation that a record's fields mean, by the table in wire/README.md. */
function meaning(record: Fields): Observation {
  const { type: _, headers: __, id, chunks, ...rest } = record;
  return {
    experiment: "fraud",
    worker: "8899aabbccddeeff",
    correlationId: id,
    chunkCount: chunks,
    params: [],
    grpcStatus: null,
    requestContentType: null,
    requestContentEncoding: null,
    responseContentType: null,
    responseContentEncoding: null,
    firstByteUs: null,
    requestEndUs: null,
    failure: "",
    cut: [],
    segments: {},
    ...rest,
  } as unknown as Observation;
}

const without = (fields: Fields, ...names: string[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));

describe("golden vectors", () => {
  test("there are some of each kind", () => {
    const kinds = new Set(vectors.map(([, { kind }]) => kind));
    expect(kinds).toEqual(new Set(["record", "batch", "ledger"]));
  });

  test.each(vectors)("%s is read as its fields say", (_name, vector) => {
    const decoded = decode(vector);
    const letters = vector.decoder?.deadLetters ?? [];

    if (decoded.kind === "refused") {
      expect(vector.fields).toBeNull();
      expect([decoded.deadLetter]).toMatchObject(letters);
      return;
    }
    expect(decoded.unknown).toBe(vector.decoder?.unknown ?? 0);
    if (decoded.kind === "ledger") {
      expect(vector.kind).toBe("ledger");
      expect(decoded.ledger).toEqual(without(vector.fields as Fields, "type", "version"));
      return;
    }
    // `toMatchObject` takes lists of one length only, so no dead letter more and none less.
    expect(decoded.deadLetters).toMatchObject(letters);
    if (vector.kind === "batch") {
      const { header, records } = vector.fields as { header: Fields; records: Fields[] };
      expect(decoded.header).toEqual(without(header, "type"));
      expect(decoded.observations).toEqual(records.map(meaning));
    } else {
      const records = vector.fields === null ? [] : [vector.fields as Fields];
      expect(decoded.observations).toEqual(records.map(meaning));
    }
  });
});
