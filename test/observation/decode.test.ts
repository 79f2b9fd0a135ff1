import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Decoded, decodeMessage } from "../../analyzer/observation/decode.ts";

const seed = Date.now() & 0x7fffffff;
console.log(`decode properties: seed ${seed}`);

const HEADER = {
  type: "batch",
  version: "1.0",
  experiment: "fraud",
  partition: 3,
  worker: "8899aabbccddeeff",
  number: 7,
  records: 1,
  clockUs: 1_795_420_800_200_000,
};
const RECORD = {
  type: "record",
  id: "01a2076b-4400-7a11-9c3d-5e6f70818293",
  run: "0f3a5c7e9b1d",
  leg: "shadow",
  attempt: 1,
  final: true,
  startedAtUs: 1_795_420_800_000_000,
  method: "POST",
  route: "/accounts/{…}/score",
  status: 200,
  requestBytes: 17,
  responseBytes: 14,
  requestDigest: "9c5978a1dd3f6632ab80f369be76f627",
  responseDigest: "f0dc38a3e5b918e54360271ac8c021ba",
  totalUs: 1_500,
  chunks: 1,
  chunkGapMaxUs: 0,
  ending: "complete",
};
const counts = (...names: string[]) => Object.fromEntries(names.map((name) => [name, 0]));
const LEDGER = {
  type: "ledger",
  version: "1.0",
  experiment: "fraud",
  run: "0f3a5c7e9b1d",
  worker: "8899aabbccddeeff",
  number: 1,
  clockUs: 1,
  final: false,
  requests: {
    seen: 1,
    sampled: 1,
    unreached: 0,
    unsampled: counts(
      "fraction",
      "request-size",
      "unknown-length",
      "upgrade",
      "connect",
      "outbox-full",
      "table-full",
    ),
  },
  legs: [
    {
      leg: "primary",
      requests: 1,
      attempts: 1,
      endings: counts("complete", "reset", "client-left", "no-answer", "streaming"),
      published: 1,
      dropped: counts("outbox-full", "too-large", "table-full"),
    },
  ],
  batches: { sent: 1, retried: 0, failed: 0 },
};

const encode = (text: string) => new TextEncoder().encode(text);
const line = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
const lines = (...values: unknown[]) => values.map((value) => `${line(value)}\n`).join("");

function decode(
  data: string | Uint8Array,
  subject = "shadow.v1.fraud.3",
  partitions = 16,
): Decoded {
  return decodeMessage({
    subject,
    data: typeof data === "string" ? encode(data) : data,
    sequence: 42,
    receivedAtUs: 99,
    partitions,
  });
}

/** Decodes a batch of these lines; `records` in the header fits unless given. */
function batch(values: readonly unknown[], header: Record<string, unknown> = {}) {
  const decoded = decode(lines({ ...HEADER, records: values.length, ...header }, ...values));
  if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
  return decoded;
}

/** What is said about a record with these changes. */
function complaint(changes: Record<string, unknown>): string {
  const { deadLetters, observations } = batch([{ ...RECORD, ...changes }]);
  expect(observations).toEqual([]);
  expect(deadLetters).toMatchObject([{ code: "WIRE_MALFORMED", line: 2 }]);
  return deadLetters[0]?.message ?? "";
}

function refusal(decoded: Decoded) {
  if (decoded.kind !== "refused") throw new Error(`was read: ${JSON.stringify(decoded)}`);
  return decoded.deadLetter;
}

describe("a malformed line", () => {
  test("becomes a dead letter with its line number, and the other lines are read", () => {
    const { observations, deadLetters } = batch([
      RECORD,
      "not json",
      { ...RECORD, status: "200" },
      "",
      [],
      "{x}",
      { ...RECORD, leg: "primary" },
    ]);
    expect(observations.map(({ leg }) => leg)).toEqual(["shadow", "primary"]);
    expect(deadLetters.map((letter) => [letter.line, letter.message])).toEqual([
      [3, "line of 8 bytes is not a JSON object"],
      [4, 'record: status is "200", expected an integer from 0 to 999'],
      [5, "line of 0 bytes is not a JSON object"],
      [6, "line of 2 bytes is not a JSON object"],
      [7, "line of 3 bytes is not JSON"],
    ]);
    expect(deadLetters[0]).toMatchObject({
      sequence: 42,
      subject: "shadow.v1.fraud.3",
      receivedAtUs: 99,
      code: "WIRE_MALFORMED",
      excerpt: "not json",
    });
  });

  test("says what came and what was expected, for every field of a record", () => {
    for (const field of Object.keys(RECORD)) {
      if (field === "type") continue;
      expect(complaint({ [field]: undefined })).toContain(`record: ${field} is missing, expected `);
      for (const wrong of [null, {}, [], "\u0000", -1, 1.5, 1e300, true]) {
        if (field === "final" && wrong === true) continue;
        if (field === "route" && typeof wrong === "string") continue;
        expect(complaint({ [field]: wrong })).toContain(`record: ${field} is `);
      }
    }
  });

  test.each([
    ["params", "a"],
    ["params", Array(17).fill("a")],
    ["params", ["a".repeat(33)]],
    ["params", [1]],
    ["grpcStatus", -1],
    ["grpcStatus", null],
    ["requestContentType", 5],
    ["responseContentType", "a".repeat(65)],
    ["requestContentEncoding", {}],
    ["responseContentEncoding", ["gzip"]],
    ["firstByteUs", "1"],
    ["requestEndUs", -0.5],
    ["failure", "x".repeat(97)],
    ["cut", "params"],
    ["cut", [{}]],
    ["segments", []],
    ["segments", { "x-country": 5 }],
    ["segments", { "x-country": "x".repeat(65) }],
    ["segments", { "not a name": "x" }],
    ["segments", Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x-${i}`, ""]))],
    ["method", "post"],
    ["method", "M".repeat(17)],
    ["route", "r".repeat(257)],
    ["route", "\ud800"],
    ["id", "01a2076b-4400-4a11-9c3d-5e6f70818293"],
    ["leg", "Primary"],
    ["run", ""],
    ["attempt", 0],
    ["attempt", 4_294_967_296],
    ["totalUs", 9_007_199_254_740_992],
    ["requestDigest", "9C5978a1dd3f6632ab80f369be76f627"],
    ["ending", "constructor"],
  ])("a record whose %s is %j is one", (field, value) => {
    expect(complaint({ [field]: value })).toContain(`record: ${field} is `);
  });

  test("longer than a record may be is one, a byte less is not", () => {
    const filler = (bytes: number) => {
      const empty = lines({ ...RECORD, extra: "" }).length + 2; // "…" has three bytes
      return { ...RECORD, extra: "x".repeat(bytes - empty) };
    };
    expect(batch([filler(4_096)]).observations).toHaveLength(1);
    expect(batch([filler(4_097)]).deadLetters).toMatchObject([
      { line: 2, message: "record: it is 4097 bytes, expected at most 4096" },
    ]);
  });

  test("that is not UTF-8 is one, and a replacement character that was written is not", () => {
    const good = encode(lines({ ...HEADER, records: 2 }, { ...RECORD, route: "/\uFFFD/ü" }));
    const bad = encode(lines({ ...RECORD, route: "/?" }));
    bad[bad.indexOf("?".charCodeAt(0))] = 0xff;
    const decoded = decode(Buffer.concat([good, bad]));
    expect(decoded).toMatchObject({
      observations: [{ route: "/\uFFFD/ü" }],
      deadLetters: [{ line: 3, message: "line is not UTF-8" }],
    });
  });

  test("a last line without its newline is read like the others", () => {
    const decoded = decode(lines(HEADER, RECORD).trimEnd());
    expect(decoded).toMatchObject({ observations: [{ leg: "shadow" }], deadLetters: [] });
  });
});

describe("the number of records", () => {
  test("that differs from the header's is a dead letter, and the records are read", () => {
    const { observations, deadLetters } = batch([RECORD], { records: 3 });
    expect(observations).toHaveLength(1);
    expect(deadLetters).toMatchObject([{ line: 1, message: "header announces 3 records, 1 came" }]);
    expect(batch([RECORD, RECORD], { records: 1 }).deadLetters).toHaveLength(1);
  });

  test("is right when the missing one is the line that cannot be read, and wrong when two are missing", () => {
    expect(batch([RECORD, "{"], { records: 2 }).deadLetters).toHaveLength(1);
    expect(batch([RECORD, "{"], { records: 3 }).deadLetters).toHaveLength(2);
  });
});

describe("a later minor", () => {
  test("is read, and what is unknown is skipped and counted", () => {
    const { observations, deadLetters, unknown } = batch(
      [
        { ...RECORD, mood: 1, headers: {} },
        { type: "skeleton", body: [] },
      ],
      { version: "1.99", records: 1, colour: "green" },
    );
    expect(observations).toHaveLength(1);
    expect(observations[0]).not.toHaveProperty("mood");
    expect(deadLetters).toEqual([]);
    expect(unknown).toBe(3);
  });

  test("of a ledger may count by reasons that we do not know, and they are kept", () => {
    const requests = {
      ...LEDGER.requests,
      unsampled: { ...LEDGER.requests.unsampled, "phase-of-the-moon": 3 },
      colour: 1,
    };
    expect(decode(lines({ ...LEDGER, requests }), "shadow.v1.fraud.ledger")).toMatchObject({
      kind: "ledger",
      ledger: { requests: { unsampled: { "phase-of-the-moon": 3, fraction: 0 } } },
      unknown: 1,
    });
  });
});

describe("a message is refused as a whole", () => {
  test("when its major is a later one, and both versions are named", () => {
    expect(refusal(decode(lines({ ...HEADER, version: "2.1" }, RECORD)))).toMatchObject({
      code: "WIRE_VERSION",
      line: 0,
      message: "wire version is 2.1, this analyzer reads 1.0 and later 1.x",
    });
    const envelope = { type: "envelope", version: "3.0" };
    expect(refusal(decode(lines(envelope))).code).toBe("WIRE_VERSION");
    const ledger = lines({ ...LEDGER, version: "2.0", legs: "new" });
    expect(refusal(decode(ledger, "shadow.v1.fraud.ledger")).code).toBe("WIRE_VERSION");
  });

  test.each([
    ["another experiment", "shadow.v1.other.3", 16],
    ["another partition", "shadow.v1.fraud.4", 16],
    ["the ledger's subject", "shadow.v1.fraud.ledger", 16],
    ["no partition", "shadow.v1.fraud", 16],
    ["a partition written in another way", "shadow.v1.fraud.03", 16],
    ["a foreign subject", "elsewhere.v1.fraud.3", 16],
    ["a partition behind the configured ones", "shadow.v1.fraud.3", 3],
  ])("when it came on %s", (_what, subject, partitions) => {
    expect(refusal(decode(lines(HEADER, RECORD), subject, partitions))).toMatchObject({
      code: "WIRE_SUBJECT",
      line: 0,
    });
  });

  test("when a ledger comes on a batch's subject", () => {
    expect(refusal(decode(lines(LEDGER))).code).toBe("WIRE_SUBJECT");
  });

  test("when its header cannot be read, with the field in the message", () => {
    for (const field of Object.keys(HEADER)) {
      const { message } = refusal(decode(lines({ ...HEADER, [field]: undefined }, RECORD)));
      expect(message).toContain(field);
    }
    for (const nonsense of ["", "\n", "null\n", "[]\n", '"batch"\n', "\u0000", "{}"]) {
      expect(refusal(decode(nonsense)).code).toBe("WIRE_MALFORMED");
    }
  });

  test("when it is larger than a batch may be, without looking into it", () => {
    const { message, excerpt } = refusal(decode(new Uint8Array(10_000_000).fill(0x7b)));
    expect(message).toBe("message is 10000000 bytes, expected at most 524288");
    expect(excerpt).toBe("{".repeat(256));
  });

  test("when a ledger's counts are not all there, with their place in the message", () => {
    const { fraction: _, ...unsampled } = LEDGER.requests.unsampled as Record<string, number>;
    const requests = { ...LEDGER.requests, unsampled };
    expect(refusal(decode(lines({ ...LEDGER, requests }), "shadow.v1.fraud.ledger")).message).toBe(
      `ledger: requests.unsampled.fraction is missing, expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
    );
    const legs = [LEDGER.legs[0], { ...LEDGER.legs[0], endings: {} }];
    expect(refusal(decode(lines({ ...LEDGER, legs }), "shadow.v1.fraud.ledger")).message).toContain(
      "ledger: legs[1].endings.complete is missing",
    );
  });

  test("when a ledger names a leg twice or is followed by something", () => {
    const legs = [LEDGER.legs[0], LEDGER.legs[0]];
    const subject = "shadow.v1.fraud.ledger";
    expect(refusal(decode(lines({ ...LEDGER, legs }), subject)).message).toContain("legs[1].leg");
    expect(refusal(decode(lines(LEDGER, LEDGER), subject)).code).toBe("WIRE_MALFORMED");
  });
});

describe("hostile input", () => {
  test("names that objects already have are ordinary names", () => {
    const text = line(RECORD).replace(
      "{",
      '{"__proto__":{"status":1},"constructor":1,"toString":2,',
    );
    const { observations, unknown } = batch([text]);
    expect(observations).toMatchObject([{ status: 200 }]);
    expect(unknown).toBe(3);
    expect(({} as Record<string, unknown>)["status"]).toBeUndefined();

    const segments = '"segments":{"__proto__":"x"},"ending"';
    expect(batch([line(RECORD).replace('"ending"', segments)]).deadLetters).toHaveLength(1);
    const ledger = lines(line(LEDGER).replace('"fraction"', '"__proto__":5,"fraction"'));
    expect(refusal(decode(ledger, "shadow.v1.fraud.ledger")).code).toBe("WIRE_MALFORMED");
  });

  test("numbers beyond a double, and minus nought, are refused", () => {
    for (const number of ["1e999", "-1e999", "99999999999999999999", "-0"]) {
      const text = line(RECORD).replace('"totalUs":1500', `"totalUs":${number}`);
      expect(batch([text]).deadLetters).toMatchObject([{ line: 2 }]);
    }
  });

  test("an escape in front of the dots of a placeholder stays what it was", () => {
    const { observations } = batch([{ ...RECORD, route: '/"…\\…' }]);
    expect(observations).toMatchObject([{ route: '/"…\\…' }]);
    expect(batch([line(RECORD).replace("{…}", "\\…")]).deadLetters).toHaveLength(1);
  });

  test("deep nesting is skipped like any unknown field", () => {
    const deep = "[".repeat(1_500) + "]".repeat(1_500);
    const { observations, unknown } = batch([line(RECORD).replace("{", `{"deep":${deep},`)]);
    expect(observations).toHaveLength(1);
    expect(unknown).toBe(1);
    const deeper = "[".repeat(250_000) + "]".repeat(250_000);
    expect(batch([`{"type":"later","deep":${deeper}}`], { records: 0 }).unknown).toBe(1);
  });

  test("control characters that JSON need not escape stand in no message", () => {
    expect(complaint({ leg: "\u007f\u0085\n" })).toBe(
      'record: leg is "\uFFFD\uFFFD\\n", expected 1 to 31 of a-z, 0-9 and -',
    );
  });

  test("half a million wrong lines make a hundred dead letters and one that says so, soon", () => {
    const data = encode(lines({ ...HEADER, records: 0 }) + "\n".repeat(524_000));
    const decoded = decode(data);
    if (decoded.kind !== "batch") throw new Error("was refused");
    expect(decoded.deadLetters).toHaveLength(101);
    expect(decoded.deadLetters[100]).toMatchObject({ line: 0 });
    expect(decoded.deadLetters[100]?.message).toContain("100 lines cannot be read");
  });

  test("whatever the bytes are, decoding answers, and what it keeps of them is short and well-formed", () => {
    const surrogate = /[\p{Cs}\p{Cc}]/u;
    const mutated = fc
      .tuple(
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
        fc.nat(),
      )
      .map(([changes, cut]) => {
        const data = encode(lines({ ...HEADER, records: 2 }, RECORD, RECORD));
        for (const [at, byte] of changes) data[at % data.length] = byte;
        return cut % 4 === 0 ? data.subarray(0, cut % data.length) : data;
      });
    fc.assert(
      fc.property(
        fc.oneof(mutated, fc.uint8Array({ maxLength: 2_000 })),
        fc.oneof(fc.constant("shadow.v1.fraud.3"), fc.string({ unit: "binary" })),
        (data, subject) => {
          const decoded = decode(data, subject);
          const letters =
            decoded.kind === "batch"
              ? decoded.deadLetters
              : decoded.kind === "refused"
                ? [decoded.deadLetter]
                : [];
          for (const { excerpt, subject: kept, message } of letters) {
            if (excerpt.length > 256 || message.length > 600) throw new Error("too long");
            const text = excerpt + kept + message;
            if (surrogate.test(text)) throw new Error(`not clean: ${JSON.stringify(text)}`);
          }
        },
      ),
      { seed, numRuns: 1_000 },
    );
  });

  test("any value in any field of a record is read or refused, and never changes another record", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(RECORD), "params", "segments", "cut", "grpcStatus"),
        fc.jsonValue({ maxDepth: 2 }),
        (field, value) => {
          const { observations, deadLetters } = batch([{ ...RECORD, [field]: value }, RECORD]);
          if (field !== "type" && observations.length + deadLetters.length !== 2) return false;
          const last = observations.at(-1);
          return last?.correlationId === RECORD.id && last.status === 200;
        },
      ),
      { seed, numRuns: 1_000 },
    );
  });
});
