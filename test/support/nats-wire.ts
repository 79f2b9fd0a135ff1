/** One HPUB as NATS would read it. */
export interface PublishedMessage {
  readonly subject: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: string;
  /** The whole of it, from HPUB to the last line end: for comparing repeats byte by byte. */
  readonly raw: string;
  /** Header and payload: what NATS compares with its max_payload. */
  readonly bytes: number;
}

export interface ParsedCall {
  readonly connect: Readonly<Record<string, unknown>>;
  readonly messages: readonly PublishedMessage[];
}

class CallReader {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get done(): boolean {
    return this.at === this.bytes.length;
  }

  line(): string {
    const end = this.bytes.indexOf("\r\n", this.at);
    if (end < 0) throw new Error(`no line end after byte ${this.at}: ${this.rest()}`);
    const line = this.bytes.toString("utf8", this.at, end);
    this.at = end + 2;
    return line;
  }

  take(count: number): Buffer {
    if (this.at + count > this.bytes.length) throw new Error(`${count} bytes announced, less came`);
    const taken = this.bytes.subarray(this.at, this.at + count);
    this.at += count;
    return taken;
  }

  get position(): number {
    return this.at;
  }

  private rest(): string {
    return JSON.stringify(this.bytes.toString("utf8", this.at, this.at + 80));
  }
}

/**
 * Reads a call's body as strictly as NATS' own parser, and more so: CONNECT first, nothing but HPUB between, PING last, sizes
 * that fit exactly, headers that are well formed, nothing behind.
 */
export function parseCall(bytes: Buffer): ParsedCall {
  const reader = new CallReader(bytes);
  const connectLine = reader.line();
  if (!connectLine.startsWith("CONNECT ")) throw new Error(`expected CONNECT, got ${connectLine}`);
  const connect = JSON.parse(connectLine.slice("CONNECT ".length)) as Record<string, unknown>;
  const messages: PublishedMessage[] = [];
  for (;;) {
    const from = reader.position;
    const line = reader.line();
    if (line === "PING") {
      if (!reader.done) throw new Error("bytes behind PING");
      return { connect, messages };
    }
    const match = /^HPUB ([^\s]+) (\d+) (\d+)$/.exec(line);
    if (match === null) throw new Error(`expected HPUB or PING, got ${JSON.stringify(line)}`);
    const [, subject = "", headerText = "", totalText = ""] = match;
    const headerBytes = Number(headerText);
    const totalBytes = Number(totalText);
    if (headerBytes > totalBytes) throw new Error("header is longer than the message");
    const headers = parseHeaders(reader.take(headerBytes).toString("utf8"));
    const payload = reader.take(totalBytes - headerBytes).toString("utf8");
    if (reader.take(2).toString("latin1") !== "\r\n")
      throw new Error("no line end after a payload");
    const raw = bytes.toString("utf8", from, reader.position);
    messages.push({ subject, headers, payload, raw, bytes: totalBytes });
  }
}

function parseHeaders(text: string): Map<string, string> {
  const lines = text.split("\r\n");
  if (lines.shift() !== "NATS/1.0") throw new Error(`not a NATS header: ${JSON.stringify(text)}`);
  if (lines.pop() !== "" || lines.pop() !== "")
    throw new Error("header does not end in two line ends");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(": ");
    if (colon < 1) throw new Error(`malformed header line ${JSON.stringify(line)}`);
    const name = line.slice(0, colon);
    if (headers.has(name)) throw new Error(`header ${name} twice`);
    headers.set(name, line.slice(colon + 2));
  }
  return headers;
}

/** What Envoy hands to the filter when a call has ended; no headers for a reset or a time limit. */
export interface CallAnswer {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** `proxy_http_call` itself refuses, with this result. */
export interface CallRefused {
  readonly result: number;
}

export const UNKNOWN_CLUSTER: CallRefused = { result: 2 };
export const NO_ENDPOINT: CallRefused = { result: 10 };

/** The cases of Envoy in front of a real NATS server, as they were seen with Envoy 1.40 and nats-server 2.15. */
export const answers = {
  closedPort: {
    headers: [
      [":status", "503"],
      ["content-length", "90"],
      ["content-type", "text/plain"],
    ],
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
  },
  reset: { headers: [], body: "" },
  text: (body: string): CallAnswer => ({
    headers: [
      [":status", "200"],
      ["x-envoy-upstream-service-time", "1"],
    ],
    body,
  }),
} as const;

export function infoLine(changes: Record<string, unknown> = {}): string {
  const info = {
    server_id: "NBY3ZQ5UQY5VQXK4X3F2V7PCN2V7B6TPRZ3WLHJ5QXQ7C6V7Q7JX2ABC",
    server_name: "embedded",
    version: "2.15.2",
    proto: 1,
    go: "go1.26.1",
    host: "127.0.0.1",
    port: 4222,
    headers: true,
    max_payload: 1048576,
    jetstream: true,
    client_id: 7,
    client_ip: "127.0.0.1",
    xkey: "XPONG",
    ...changes,
  };
  return `INFO ${JSON.stringify(info)} \r\n`;
}

/**
 * A NATS server as the filter meets it, with JetStream's memory of message ids. Switches make it fail the ways a real one does:
 * errors that a large call never gets to see because the server closes with unread input, and a server that goes away midway.
 */
export class NatsServer {
  readonly stored: PublishedMessage[] = [];
  readonly calls: ParsedCall[] = [];
  payloadMax = 1048576;
  password = "";
  deniedSubjects: RegExp | null = null;
  /** Answers the call instead of the server. */
  intercept: ((call: ParsedCall) => CallAnswer | null) | null = null;
  private readonly ids = new Set<string>();

  get payloads(): string[] {
    return this.stored.map((message) => message.payload);
  }

  answer(body: Buffer): CallAnswer {
    const call = parseCall(body);
    this.calls.push(call);
    const intercepted = this.intercept?.(call) ?? null;
    if (intercepted !== null) return intercepted;
    const info = infoLine({ max_payload: this.payloadMax });
    if (this.password !== "" && call.connect["pass"] !== this.password) {
      // NATS' first read is 512 bytes: what is longer is closed with unread input, so the error is lost in a reset.
      return body.length <= 512
        ? answers.text(`${info}-ERR 'Authorization Violation'\r\n`)
        : answers.reset;
    }
    let errors = "";
    for (const message of call.messages) {
      if (message.bytes > this.payloadMax) return answers.reset;
      if (this.deniedSubjects?.test(message.subject)) {
        errors += `-ERR 'Permissions Violation for Publish to "${message.subject}"'\r\n`;
        continue;
      }
      this.store(message);
    }
    return answers.text(`${info}${errors}PONG\r\n`);
  }

  store(message: PublishedMessage): void {
    const id = message.headers.get("Nats-Msg-Id") ?? "";
    if (this.ids.has(id)) return;
    this.ids.add(id);
    this.stored.push(message);
  }
}
