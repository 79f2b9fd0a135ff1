import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Config } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import type { ServiceMonitor } from "../health.ts";
import type { Log } from "../log.ts";
import { Backoff, messageOf, pause } from "./wait.ts";

/** Consumers with several subjects, and the server's own time in its answers, came with it. */
const VERSION_MIN: readonly [number, number] = [2, 10];

/**
 * Connects, however long it takes; afterwards the client reconnects by itself, for ever.
 * Null when the signal said stop first.
 * @throws AnalyzerError NATS_VERSION
 */
export async function connectNats(
  config: Config["nats"],
  monitor: ServiceMonitor,
  log: Log,
  signal: AbortSignal,
): Promise<NatsConnection | null> {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      const connection = await connect({
        servers: [...config.servers],
        name: "shadowgraph analyzer",
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        // A wrong password may be put right while we wait: keep trying.
        ignoreAuthErrorAbort: true,
        pingInterval: 10_000,
        maxPingOut: 2,
        timeout: 5_000,
        // The address alone does not make the client insist: it would give its password to a server without TLS.
        ...(config.servers.some((server) => server.startsWith("tls://")) ? { tls: {} } : {}),
        ...(config.token !== ""
          ? { token: config.token }
          : config.user !== ""
            ? { user: config.user, pass: config.password }
            : {}),
      });
      try {
        requireVersion(connection.info?.version ?? "");
      } catch (error) {
        await connection.close();
        throw error;
      }
      monitor.up();
      watch(connection, monitor, log);
      return connection;
    } catch (error) {
      if (error instanceof AnalyzerError) throw error;
      monitor.down(`${config.servers.join(", ")}: ${messageOf(error)}`, "NATS_UNAVAILABLE");
      await pause(backoff.next(), signal);
    }
  }
  return null;
}

/** @throws AnalyzerError NATS_VERSION below 2.10, or when the server does not say what it is */
export function requireVersion(version: string): void {
  const match = /^(\d+)\.(\d+)\./.exec(version);
  const [major, minor] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1])) return;
  throw new AnalyzerError(
    "NATS_VERSION",
    `NATS server is ${version === "" ? "of unknown version" : version}, expected at least ${VERSION_MIN.join(".")}`,
  );
}

/** Runs until the connection closes. */
function watch(connection: NatsConnection, monitor: ServiceMonitor, log: Log): void {
  const follow = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") monitor.down("connection lost", "NATS_UNAVAILABLE");
      else if (status.type === "reconnect") monitor.up();
      else if (status.type === "error") {
        log.warn({ code: "NATS_UNAVAILABLE" }, `NATS says: ${messageOf(status.error)}`);
      } else if (status.type === "ldm") {
        log.info("NATS server is in lame duck mode, moving on");
      }
    }
  };
  follow().catch((error: unknown) => log.error({ error: messageOf(error) }, "NATS status ended"));
}
