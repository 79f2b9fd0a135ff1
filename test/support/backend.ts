import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { sleep } from "./wait.ts";

/** A request exactly as this server's connection brought it. */
export interface ReceivedRequest {
  /** Counted from 0, in the order of arrival. */
  readonly index: number;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  /** Names in the spelling that came, in order, repeated ones repeatedly. */
  readonly rawHeaders: readonly (readonly [name: string, value: string])[];
  /** The first value by lower-case name; undefined when the header did not come. */
  header(name: string): string | undefined;
  readonly body: Buffer;
  readonly receivedAtMs: number;
}

export type Answer =
  | {
      kind?: "answer";
      status?: number;
      headers?: Record<string, string | string[]>;
      /** Sent with content-length, unless `chunks` or `trailers` are there too. */
      body?: string | Uint8Array;
      /** Sent one by one with transfer-encoding chunked, after `body`. */
      chunks?: readonly { body: string | Uint8Array; afterMs?: number }[];
      trailers?: Record<string, string>;
      /** Before the headers. */
      delayMs?: number;
      /** Breaks the connection after the last chunk, without ending the message. */
      thenReset?: boolean;
    }
  /** Never answers. The connection stays open until the client or stop() closes it. */
  | { kind: "hang" }
  /** TCP reset, before any byte of an answer. */
  | { kind: "reset" }
  /** These bytes and then the end of the connection, whether they are HTTP or not. */
  | { kind: "raw"; bytes: string | Uint8Array };

export type Answering = (request: ReceivedRequest) => Answer | Promise<Answer>;

export interface BackendOptions {
  /** Default: a free one. */
  port?: number;
  /** Default: 200 with the body "ok". */
  answer?: Answering;
  /** Requests kept in `requests`; later ones are answered and counted only. Default 20,000. */
  requestsKeptMax?: number;
  /** "headers": answers without reading the body and never reads it. Default "body". */
  answerAfter?: "body" | "headers";
}

export interface Backend {
  readonly port: number;
  /** 127.0.0.1:PORT */
  readonly address: string;
  readonly url: string;
  readonly requests: readonly ReceivedRequest[];
  /** All requests that came, kept or not. */
  readonly count: () => number;
  readonly openConnections: () => number;
  setAnswer(answer: Answering): void;
  clear(): void;
  /** Refuses new connections and breaks the open ones; start() takes the same port again. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** An HTTP/1.1 server whose answers, good and bad, the test writes. */
export async function startBackend(options: BackendOptions = {}): Promise<Backend> {
  const { requestsKeptMax = 20_000, answerAfter = "body" } = options;
  const requests: ReceivedRequest[] = [];
  const sockets = new Set<Socket>();
  let answering: Answering = options.answer ?? (() => ({ body: "ok" }));
  let port = options.port ?? 0;
  let count = 0;

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    if (answerAfter === "body") {
      for await (const part of message) parts.push(part as Buffer);
    }
    const request = requestOf(message, Buffer.concat(parts), count++);
    if (requests.length < requestsKeptMax) requests.push(request);
    await give(await answering(request), message.socket, response);
  };
  // Neither end gives up on its own: whoever hangs or waits does so because the test says so.
  const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
  server.on("request", (message, response) => {
    // A client that leaves in the middle is part of the tests.
    serve(message, response).catch(() => message.socket.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("clientError", (_, socket) => socket.destroy());

  const start = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port, backlog: 1024 }, () => {
        server.off("error", reject);
        port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  await start();
  return {
    port,
    address: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    requests,
    count: () => count,
    openConnections: () => sockets.size,
    setAnswer(answer) {
      answering = answer;
    },
    clear() {
      requests.length = 0;
      count = 0;
    },
    start,
    stop: () =>
      new Promise((resolve) => {
        if (!server.listening) {
          resolve();
          return;
        }
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function requestOf(message: IncomingMessage, body: Buffer, index: number): ReceivedRequest {
  const rawHeaders: [string, string][] = [];
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2) {
    rawHeaders.push([message.rawHeaders[i] ?? "", message.rawHeaders[i + 1] ?? ""]);
  }
  return {
    index,
    method: message.method ?? "",
    path: message.url ?? "",
    rawHeaders,
    header: (name) => rawHeaders.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1],
    body,
    receivedAtMs: performance.now(),
  };
}

async function give(answer: Answer, socket: Socket, response: ServerResponse): Promise<void> {
  switch (answer.kind) {
    case "hang":
      return;
    case "reset":
      socket.resetAndDestroy();
      return;
    case "raw":
      socket.end(answer.bytes);
      return;
  }
  if (answer.delayMs !== undefined) await sleep(answer.delayMs);
  const { status = 200, headers = {}, body = "", chunks, trailers } = answer;
  response.sendDate = false;
  if (chunks === undefined && trailers === undefined && answer.thenReset !== true) {
    response.writeHead(status, { "content-length": String(Buffer.byteLength(body)), ...headers });
    response.end(body);
    return;
  }
  response.writeHead(status, {
    ...(trailers === undefined ? {} : { trailer: Object.keys(trailers).join(", ") }),
    ...headers,
  });
  response.flushHeaders();
  if (body.length > 0) response.write(body);
  for (const chunk of chunks ?? []) {
    if (chunk.afterMs !== undefined) await sleep(chunk.afterMs);
    response.write(chunk.body);
  }
  if (answer.thenReset === true) {
    // What was written must be on its way before the connection breaks.
    await sleep(20);
    socket.resetAndDestroy();
    return;
  }
  if (trailers !== undefined) response.addTrailers(trailers);
  response.end();
}
