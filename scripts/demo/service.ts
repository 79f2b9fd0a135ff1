import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { answerTo, type Version } from "./scoring.ts";

/** Larger bodies are refused: the load generator sends at most some 12 KB. */
const BODY_BYTES_MAX = 1_048_576;

export interface Service {
  readonly version: Version;
  readonly port: number;
  /** 127.0.0.1:PORT */
  readonly address: string;
  readonly requests: () => number;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly version: Version;
  /** 0 (the default): a free one. */
  readonly port?: number;
  /** Without the artificial delays: for tests that count, not measure. */
  readonly fast?: boolean;
}

/** The fraud-scoring service. What v2 does differently is in scoring.ts and follows from the request's content alone. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { version, fast = false } = options;
  let requests = 0;
  const server = createServer({ keepAliveTimeout: 60_000 }, (message, response) => {
    requests += 1;
    const answer = async (): Promise<void> => {
      const body = await bodyOf(message);
      if (body === null) {
        response.writeHead(413).end();
        return;
      }
      const {
        status,
        body: text,
        delayMs,
      } = answerTo(
        {
          method: message.method as "GET",
          path: message.url ?? "",
          country: String(message.headers["x-country"] ?? ""),
          body,
        },
        version,
        { servedAt: new Date().toISOString(), requestId: randomUUID() },
      );
      if (!fast) await sleep(delayMs);
      if (text === "") response.writeHead(status).end();
      else {
        response
          .writeHead(status, {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(text),
          })
          .end(text);
      }
    };
    // Someone who sends no JSON, or leaves in the middle: that connection ends, the service goes on.
    answer().catch(() => message.socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: options.port ?? 0, backlog: 1024 }, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    version,
    port,
    address: `127.0.0.1:${port}`,
    requests: () => requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Null when it is too large. */
async function bodyOf(message: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of message) {
    bytes += (part as Buffer).length;
    if (bytes > BODY_BYTES_MAX) return null;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}
