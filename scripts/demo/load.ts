import { Agent, request as httpRequest } from "node:http";
import { type DemoRequest, requestAt } from "./traffic.ts";

export interface LoadOptions {
  /** http://HOST:PORT of Envoy. */
  readonly url: string;
  /** Ends after so many; Infinity goes on until stop(). */
  readonly requests: number;
  /** Requests a second. Infinity: as fast as the concurrency allows. */
  readonly rate: number;
  /** Requests under way at once, and connections. Default 32. */
  readonly concurrency?: number;
  /** Other requests with another seed. Default "demo". */
  readonly seed?: string;
  /** Index of the first request. Default 0. */
  readonly from?: number;
  /** A client gives up after this time. Default 30 s. */
  readonly timeoutMs?: number;
  /** After each answer; status 0: there was none. */
  readonly onAnswer?: (request: DemoRequest, status: number, body: Buffer) => void;
}

export interface LoadProgress {
  readonly sent: number;
  readonly answered: number;
  /** Answers with a status of 500 and above. */
  readonly serverErrors: number;
  /** Requests without any answer. */
  readonly failed: number;
  readonly elapsedMs: number;
}

export interface LoadResult extends LoadProgress {
  readonly statuses: ReadonlyMap<number, number>;
  /** Of the last 100,000 answers, ms; 0 without any. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

export interface Load {
  progress(): LoadProgress;
  setRate(rate: number): void;
  /** Sends nothing new; what is under way is waited for. */
  stop(): void;
  /** Resolves when everything that was sent has been answered or has failed. Never rejects. */
  readonly done: Promise<LoadResult>;
}

const LATENCIES_MAX = 100_000;
/** Requests that may be made up for after a pause: no more than this time's worth. */
const CATCH_UP_MS = 250;
const TICK_MS = 5;

/** Sends the demo's traffic over kept-alive connections. A slow server makes requests late, never more of them. */
export function startLoad(options: LoadOptions): Load {
  const { url, requests, concurrency = 32, seed = "demo", from = 0, timeoutMs = 30_000 } = options;
  const target = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency, scheduling: "fifo" });
  const startedAt = performance.now();
  const statuses = new Map<number, number>();
  const latencies: number[] = [];
  let { rate } = options;
  let due = 0;
  let lastTick = startedAt;
  let sent = 0;
  let answered = 0;
  let serverErrors = 0;
  let failed = 0;
  let stopped = requests <= 0;
  let finish: (result: LoadResult) => void;
  const done = new Promise<LoadResult>((resolve) => {
    finish = resolve;
  });

  const progress = (): LoadProgress => ({
    sent,
    answered,
    serverErrors,
    failed,
    elapsedMs: performance.now() - startedAt,
  });
  const underWay = (): number => sent - answered - failed;

  const settle = (request: DemoRequest, status: number, body: Buffer, beganAt: number): void => {
    if (status === 0) failed += 1;
    else {
      if (latencies.length < LATENCIES_MAX) latencies.push(performance.now() - beganAt);
      else latencies[answered % LATENCIES_MAX] = performance.now() - beganAt;
      answered += 1;
      if (status >= 500) serverErrors += 1;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    options.onAnswer?.(request, status, body);
    if (rate === Number.POSITIVE_INFINITY) pump();
    endIfDone();
  };

  const pump = (): void => {
    while (!stopped && due >= 1 && underWay() < concurrency) {
      const one = requestAt(from + sent, seed);
      const beganAt = performance.now();
      sent += 1;
      if (rate !== Number.POSITIVE_INFINITY) due -= 1;
      if (sent >= requests) stopped = true;
      send(one, { target, agent, timeoutMs }, (status, body) => settle(one, status, body, beganAt));
    }
  };

  const timer = setInterval(() => {
    const now = performance.now();
    due =
      rate === Number.POSITIVE_INFINITY
        ? Number.POSITIVE_INFINITY
        : Math.min(
            due + ((now - lastTick) * rate) / 1000,
            Math.max(1, (rate * CATCH_UP_MS) / 1000),
          );
    lastTick = now;
    pump();
    endIfDone();
  }, TICK_MS);

  const endIfDone = (): void => {
    if (!stopped || underWay() > 0) return;
    clearInterval(timer);
    agent.destroy();
    const sorted = latencies.sort((a, b) => a - b);
    const quantile = (q: number): number => sorted[Math.floor((sorted.length - 1) * q)] ?? 0;
    finish({
      ...progress(),
      statuses,
      latencyMs: { p50: quantile(0.5), p99: quantile(0.99) },
    });
  };

  return {
    progress,
    setRate: (next) => {
      rate = next;
      due = 0;
    },
    stop: () => {
      stopped = true;
    },
    done,
  };
}

/** Calls `then` exactly once. */
function send(
  { method, path, headers, body, chunked }: DemoRequest,
  { target, agent, timeoutMs }: { target: URL; agent: Agent; timeoutMs: number },
  then: (status: number, body: Buffer) => void,
): void {
  let settled = false;
  const settle = (status: number, received: Buffer): void => {
    if (settled) return;
    settled = true;
    then(status, received);
  };
  const length: Record<string, string> =
    body === "" || chunked ? {} : { "content-length": String(Buffer.byteLength(body)) };
  const request = httpRequest(
    {
      host: target.hostname,
      port: target.port,
      method,
      path,
      agent,
      timeout: timeoutMs,
      headers: { ...headers, ...length },
    },
    (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => settle(response.statusCode ?? 0, Buffer.concat(parts)));
      response.on("close", () => settle(0, Buffer.alloc(0)));
      response.on("error", () => settle(0, Buffer.alloc(0)));
    },
  );
  request.on("timeout", () => request.destroy());
  request.on("error", () => settle(0, Buffer.alloc(0)));
  // Without a length Node sends chunks; a PUT or GET without body has neither.
  if (chunked) {
    request.write(body.slice(0, 20));
    request.end(body.slice(20));
  } else request.end(body === "" ? undefined : body);
}
