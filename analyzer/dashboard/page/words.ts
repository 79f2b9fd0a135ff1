// What the page says about each name of the API: one plain sentence each, in the glossary's words.

interface Word {
  readonly label: string;
  readonly means: string;
}

const RULES: Readonly<Record<string, Word>> = {
  status: { label: "status", means: "the HTTP statuses are not the same" },
  "status-class": {
    label: "status class",
    means: "the statuses are of different classes, such as 2xx and 5xx",
  },
  "grpc-status": { label: "gRPC status", means: "the gRPC statuses are not the same" },
  "body-digest": {
    label: "body digest",
    means: "the response bodies are not equal byte for byte; one timestamp in them is enough",
  },
  "content-type": { label: "content type", means: "the media types or encodings differ" },
  "body-size": { label: "body size", means: "the response bodies differ in length" },
  ending: { label: "ending", means: "one leg ended in another way: cut, timed out, no answer" },
  latency: {
    label: "latency",
    means: "the shadow took longer than the configured ratio and difference allow",
  },
};

const FLOWS: Readonly<Record<string, Word & { readonly look: Look }>> = {
  paired: { label: "paired", means: "seen on the primary and on this shadow", look: "paired" },
  "shadow-missing": {
    label: "shadow missing",
    means: "the primary was seen, this shadow was not",
    look: "unpaired",
  },
  late: { label: "late", means: "the partner came after the window had closed", look: "unpaired" },
  evicted: {
    label: "evicted",
    means: "the table of waiting observations was full",
    look: "unpaired",
  },
  unreached: {
    label: "unreached",
    means: "ended before the primary leg began: refused by a filter, no route, no healthy host",
    look: "neutral",
  },
  running: { label: "running", means: "the request has not ended yet", look: "neutral" },
  dropped: {
    label: "dropped",
    means: "the filter gave the record up because a bound was reached",
    look: "gone",
  },
  lost: { label: "lost", means: "published, and never seen again", look: "gone" },
  "under-way": {
    label: "under way",
    means: "in the filter, in the stream or inside the join window",
    look: "neutral",
  },
};

/** How a part of a bar is drawn; each look differs by pattern and lightness, not by hue alone. */
export type Look = "paired" | "neutral" | "unpaired" | "gone" | "unexplained" | "unsampled";

const UNSAMPLED: Readonly<Record<string, Word>> = {
  fraction: { label: "by fraction", means: "the sample fraction left it out" },
  "request-size": {
    label: "request too large",
    means: "larger than requestBytesMax: a slow shadow could stall such an upload",
  },
  "unknown-length": {
    label: "length unknown",
    means: "the request did not say how long it is",
  },
  upgrade: { label: "upgrade", means: "WebSocket and other upgrades are not mirrored" },
  connect: { label: "CONNECT", means: "tunnels are not mirrored" },
  "outbox-full": {
    label: "outbox full",
    means: "the worker's outbox was more than three quarters full",
  },
  "table-full": {
    label: "table full",
    means: "too many sampled requests were in flight in one worker",
  },
};

const DROPS: Readonly<Record<string, Word>> = {
  "outbox-full": {
    label: "outbox full",
    means: "NATS was slow or away for longer than the outbox can hold",
  },
  "too-large": { label: "too large", means: "the record was longer than a line may be" },
  "table-full": { label: "table full", means: "no place to hold the record" },
};

const ORPHANS: Readonly<Record<string, Word>> = {
  "shadow-missing": {
    label: "shadow missing",
    means:
      "the primary was seen, this shadow was not: refused by a breaker, never mirrored, or its record was dropped",
  },
  "primary-missing": {
    label: "primary missing",
    means: "a mirrored leg was seen, the primary was not",
  },
  late: { label: "late", means: "the partner came after the window had closed" },
  evicted: { label: "evicted", means: "the table of waiting observations was full" },
};

const ENDINGS: Readonly<Record<string, Word>> = {
  complete: { label: "complete", means: "the response ended as it should" },
  reset: { label: "reset", means: "cut by the server or the network after the answer began" },
  "client-left": { label: "client left", means: "the client went away first" },
  "no-answer": { label: "no answer", means: "not even a status came" },
  streaming: { label: "streaming", means: "still running when a time limit cut it" },
};

const WORKERS: Readonly<Record<string, Word>> = {
  live: { label: "live", means: "reported within the last minute" },
  closed: { label: "closed", means: "said goodbye with a closing ledger: nothing is missing" },
  silent: {
    label: "ended without closing ledger",
    means: "no ledger for a minute and no goodbye: the records of its last tick may be lost",
  },
  unknown: { label: "no ledger", means: "records came, but never a ledger" },
};

export const rule = (name: string) => find(RULES, name);
export const unsampled = (name: string) => find(UNSAMPLED, name);
export const drop = (name: string) => find(DROPS, name);
export const orphan = (name: string) => find(ORPHANS, name);
export const ending = (name: string) => find(ENDINGS, name);
export const worker = (name: string) => find(WORKERS, name);
export const flow = (name: string): Word & { readonly look: Look } =>
  FLOWS[name] ?? { label: name.replaceAll("-", " "), means: "", look: "neutral" };

/** A later analyzer may know more names than this page: they are shown as they come. */
function find(table: Readonly<Record<string, Word>>, name: string): Word {
  return table[name] ?? { label: name.replaceAll("-", " "), means: "" };
}

export function statusName(status: number): string {
  return status === 0 ? "no answer" : String(status);
}
