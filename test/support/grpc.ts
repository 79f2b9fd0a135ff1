import {
  type ClientHttp2Session,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

/** What a call is answered with: messages, then trailers with the status. */
export interface GrpcAnswer {
  readonly status: number;
  readonly messages?: readonly string[];
  /** Without any message, status in the headers: what servers do when they fail at once. */
  readonly trailersOnly?: boolean;
}

export interface GrpcServer {
  readonly address: string;
  readonly calls: readonly { readonly path: string; readonly body: Buffer }[];
  stop(): Promise<void>;
}

/** A message in gRPC's frame: not compressed, its length, its bytes. */
export function grpcFrame(message: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(message), 1);
  return Buffer.concat([head, Buffer.from(message)]);
}

/** A gRPC server over HTTP/2 without TLS; knows frames and trailers, no protobuf. */
export async function startGrpcServer(answer: (path: string) => GrpcAnswer): Promise<GrpcServer> {
  const calls: { path: string; body: Buffer }[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const path = String(headers[":path"]);
    const parts: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      calls.push({ path, body: Buffer.concat(parts) });
      give(stream, answer(path));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        for (const session of sessions) session.destroy();
      }),
  };
}

function give(stream: ServerHttp2Stream, { status, messages = [], trailersOnly }: GrpcAnswer) {
  const headers = { ":status": 200, "content-type": "application/grpc" };
  if (trailersOnly === true) {
    stream.respond({ ...headers, "grpc-status": String(status) }, { endStream: true });
    return;
  }
  stream.respond(headers, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(status) }));
  for (const message of messages) stream.write(grpcFrame(message));
  stream.end();
}

export interface GrpcResult {
  /** gRPC's own, from trailers or headers; NaN when none came. */
  readonly status: number;
  readonly body: Buffer;
  readonly elapsedMs: number;
}

/** One connection, as many calls at a time as wanted. */
export class GrpcClient {
  readonly #session: ClientHttp2Session;

  constructor(port: number) {
    this.#session = connect(`http://127.0.0.1:${port}`);
    this.#session.on("error", () => {});
  }

  call(path: string, messages: readonly string[], headers: Record<string, string> = {}) {
    const startedAt = performance.now();
    return new Promise<GrpcResult>((resolve, reject) => {
      const stream = this.#session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      const parts: Buffer[] = [];
      let status = Number.NaN;
      const read = (from: Record<string, unknown>): void => {
        if (from["grpc-status"] !== undefined) status = Number(from["grpc-status"]);
      };
      stream.on("response", read);
      stream.on("trailers", read);
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("error", reject);
      stream.on("end", () => {
        resolve({ status, body: Buffer.concat(parts), elapsedMs: performance.now() - startedAt });
      });
      for (const message of messages) stream.write(grpcFrame(message));
      stream.end();
    });
  }

  close(): void {
    this.#session.destroy();
  }
}
