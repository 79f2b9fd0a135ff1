import { Agent, request as httpRequest } from "node:http";

export interface ClientRequest {
  readonly method?: string;
  /** With query. */
  readonly path: string;
  /** In this order and spelling. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array;
  /** Without content-length. */
  readonly chunked?: boolean;
  readonly timeoutMs?: number;
}

export interface ClientAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly body: Buffer;
  readonly elapsedMs: number;
}

/** An HTTP/1.1 client that sends exactly what it is told over a few kept-alive connections. */
export class Client {
  readonly #agent: Agent;

  constructor(
    readonly port: number,
    connections = 16,
  ) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Rejects when no whole answer came. */
  send(request: ClientRequest): Promise<ClientAnswer> {
    const {
      method = "GET",
      path,
      headers = [],
      body,
      chunked = false,
      timeoutMs = 30_000,
    } = request;
    const startedAt = performance.now();
    const framing: [string, string][] = chunked
      ? [["transfer-encoding", "chunked"]]
      : body === undefined && ["GET", "HEAD"].includes(method)
        ? []
        : [["content-length", String(Buffer.byteLength(body ?? ""))]];
    const named = headers.some(([name]) => name.toLowerCase() === "host");
    const host: [string, string][] = named ? [] : [["host", `127.0.0.1:${this.port}`]];
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: "127.0.0.1",
          port: this.port,
          method,
          path,
          agent: this.#agent,
          timeout: timeoutMs,
          headers: [...host, ...headers, ...framing].flat(),
        },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on("data", (part: Buffer) => parts.push(part));
          answer.on("error", reject);
          answer.on("end", () =>
            resolve({
              status: answer.statusCode ?? 0,
              header: (name) => {
                const value = answer.headers[name];
                return Array.isArray(value) ? value.join(", ") : value;
              },
              body: Buffer.concat(parts),
              elapsedMs: performance.now() - startedAt,
            }),
          );
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  /** `count` requests, `width` at a time, each as `at` says. */
  async sendAll<T>(count: number, width: number, at: (index: number) => Promise<T>): Promise<T[]> {
    const results: T[] = new Array(count);
    let next = 0;
    await Promise.all(
      Array.from({ length: width }, async () => {
        while (next < count) {
          const index = next++;
          results[index] = await at(index);
        }
      }),
    );
    return results;
  }

  close(): void {
    this.#agent.destroy();
  }
}
