import { gzipSync } from "node:zlib";
import type { Answer } from "../../support/backend.ts";

/** One kind of request and what the two servers make of it. */
export interface Case {
  /** Its path is /v1/<name>, and so is its route. */
  readonly name: string;
  readonly primary: Answer;
  readonly shadow: Answer;
  readonly method?: "GET" | "POST" | "HEAD";
  /** The body that the user must get. */
  readonly body: string | Buffer;
  /** What the pair must say about the shadow, and the rules that must find something. */
  readonly expected: {
    readonly status: number;
    readonly ending: string;
    /** What Envoy told the filter; it has no words for most. */
    readonly failure: string;
    readonly rules: readonly string[];
  };
}

const JSON_TYPE = { "content-type": "application/json" };
const SCORE = '{"score":1}';
const fine = (more: object = {}): Answer => ({ body: SCORE, headers: JSON_TYPE, ...more });

const COMPLETE = { status: 200, ending: "complete", failure: "", rules: [] };
const NO_ANSWER = { status: 0, ending: "no-answer", failure: "", rules: ["ending"] };
const CUT = { status: 200, ending: "reset", failure: "", rules: ["ending"] };
const TIME_LIMIT = "time limit";

const raw = (bytes: string): Answer => ({ kind: "raw", bytes });

/** What a primary in the best of health answers beside each of these shadows. */
function besides(shadows: Record<string, [Answer, Case["expected"]]>): Case[] {
  return Object.entries(shadows).map(([name, [shadow, expected]]) => ({
    name,
    primary: fine(),
    shadow,
    body: SCORE,
    expected,
  }));
}

export function cases({ timeoutMs }: { timeoutMs: number }): readonly Case[] {
  const afterMs = timeoutMs + 700;
  const gzip = { ...JSON_TYPE, "content-encoding": "gzip" };
  const zipped = gzipSync(SCORE);
  // For longer than a shadow may take, an event every 250 ms.
  const events = Array.from({ length: Math.ceil(timeoutMs / 250) + 4 }, (_, i) => ({
    body: `data: ${i}\n\n`,
    afterMs: i === 0 ? 0 : 250,
  }));
  const stream: Answer = { headers: { "content-type": "text/event-stream" }, chunks: events };
  return [
    ...besides({
      healthy: [fine(), COMPLETE],
      slow: [fine({ delayMs: timeoutMs - 800 }), { ...COMPLETE, rules: ["latency"] }],
      fails: [fine({ status: 500 }), { ...COMPLETE, status: 500, rules: ["status-class"] }],
      hangs: [{ kind: "hang" }, { ...NO_ANSWER, failure: TIME_LIMIT }],
      "too-late": [fine({ delayMs: afterMs }), { ...NO_ANSWER, failure: TIME_LIMIT }],
      "stalls-in-the-middle": [
        { headers: JSON_TYPE, chunks: [{ body: "{" }, { body: "}", afterMs }] },
        { ...CUT, ending: "streaming", failure: TIME_LIMIT },
      ],
      "resets-before": [{ kind: "reset" }, NO_ANSWER],
      "resets-in-the-middle": [
        { headers: JSON_TYPE, chunks: [{ body: '{"sco' }], thenReset: true },
        CUT,
      ],
      "closes-without-a-word": [raw(""), NO_ANSWER],
      garbage: [raw("\u0000\u0001 this is not HTTP \r\n\r\n".repeat(50)), NO_ANSWER],
      "garbage-headers": [
        raw("HTTP/1.1 200 OK\r\ncontent-length: -5\r\nx: \u0000\r\n\r\nabc"),
        NO_ANSWER,
      ],
      "shorter-than-it-says": [
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{}"),
        CUT,
      ],
    }),
    // Nothing is wrong with these, but an observer may trip over them.
    { name: "head", method: "HEAD", primary: fine(), shadow: fine(), body: "", expected: COMPLETE },
    {
      name: "no-content",
      primary: { status: 204 },
      shadow: { status: 204 },
      body: "",
      expected: { ...COMPLETE, status: 204 },
    },
    {
      name: "not-modified",
      method: "GET",
      primary: { status: 304 },
      shadow: { status: 304 },
      body: "",
      expected: { ...COMPLETE, status: 304 },
    },
    {
      name: "gzip",
      primary: { body: zipped, headers: gzip },
      shadow: { body: zipped, headers: gzip },
      body: zipped,
      expected: COMPLETE,
    },
    {
      name: "gzip-differs",
      primary: { body: zipped, headers: gzip },
      shadow: { body: gzipSync('{"score":2}'), headers: gzip },
      body: zipped,
      expected: { ...COMPLETE, rules: ["body-digest"] },
    },
    {
      name: "events",
      method: "GET",
      primary: stream,
      shadow: stream,
      body: events.map(({ body }) => body).join(""),
      expected: { ...CUT, ending: "streaming", failure: TIME_LIMIT },
    },
  ];
}
