import { type AddressInfo, createServer } from "node:net";
import { AnalyzerError } from "../errors.ts";

/** Ports that are free at this moment, all different. Somebody else may take one before it is used: be ready to try again. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => hold(0)));
  await Promise.all(held.map((one) => one.release()));
  return held.map((one) => one.port);
}

export interface PortWish {
  /** What listens there, for the message: "NATS", "ClickHouse HTTP". */
  name: string;
  /** 0: any free one. */
  port: number;
}

/**
 * Ports for these wishes, in their order.
 *
 * @throws AnalyzerError PORT_TAKEN that names each port that somebody listens on
 */
export async function choosePorts(wishes: readonly PortWish[]): Promise<number[]> {
  const held = await Promise.allSettled(wishes.map((wish) => hold(wish.port)));
  await Promise.all(
    held.map((one) => (one.status === "fulfilled" ? one.value.release() : undefined)),
  );
  const taken: string[] = [];
  const ports: number[] = [];
  for (const [i, one] of held.entries()) {
    const wish = wishes[i];
    if (wish === undefined) continue;
    if (one.status === "fulfilled") ports.push(one.value.port);
    else taken.push(`port 127.0.0.1:${wish.port} for ${wish.name} ${reasonOf(one.reason)}`);
  }
  if (taken.length > 0) {
    throw new AnalyzerError(
      "PORT_TAKEN",
      `${taken.join("; ")}: stop what listens there or choose another port`,
    );
  }
  return ports;
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "EADDRINUSE") return "is in use";
  if (error.code === "EACCES") return "may not be opened by this user";
  return `cannot be opened (${error.code ?? error.message})`;
}

function hold(port: number): Promise<{ port: number; release: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        release: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}
