import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { SUBJECT_LEDGER, SUBJECT_PREFIX } from "../../../wire/format.ts";
import type { Config, ExperimentConfig } from "../../config.ts";
import { ageText, count, type Finding, fail, messageOf, ok, warn } from "./finding.ts";

/** A stream this full drops its oldest messages soon. */
const FULL_SHARE = 0.9;
/** A worker that is alive publishes every ledgerIntervalMs; this many missed ones are silence. */
const LEDGERS_MISSED_MAX = 6;

/** NATS, the stream, and what the filter's workers last said. `now` is ms since 1970. */
export async function checkNats(
  config: Config,
  { timeoutMs, now }: { timeoutMs: number; now: number },
): Promise<Finding[]> {
  const { nats } = config;
  const servers = nats.servers.join(", ");
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers: [...nats.servers],
      name: "shadowgraph doctor",
      timeout: timeoutMs,
      reconnect: false,
      ...(nats.token !== "" ? { token: nats.token } : {}),
      ...(nats.token === "" && nats.user !== "" ? { user: nats.user, pass: nats.password } : {}),
    });
  } catch (error) {
    const message = messageOf(error);
    const advice = /auth/i.test(message)
      ? "check nats.user and SHADOWGRAPH_NATS_PASSWORD or SHADOWGRAPH_NATS_TOKEN"
      : "start it (`shadowgraph up` starts one of its own), or correct nats.servers or NATS_URL";
    return [fail("NATS", `${servers} cannot be reached: ${message}`, advice)];
  }
  try {
    const version = connection.info?.version ?? "of unknown version";
    if (connection.info?.jetstream !== true) {
      return [
        fail("NATS", `${servers} is ${version}, without JetStream`, "start nats-server with -js"),
      ];
    }
    const manager = await jetstreamManager(connection, { timeout: timeoutMs });
    const { findings, info } = await checkStream(manager, config);
    const ledgers =
      info === null
        ? []
        : await Promise.all(
            config.experiments.map((experiment) =>
              checkLedger(manager, experiment, { config, now }),
            ),
          );
    return [ok("NATS", `${servers} is ${version}, with JetStream`), ...findings, ...ledgers];
  } catch (error) {
    return [fail("NATS", `${servers}: ${messageOf(error)}`, "look at the server's log")];
  } finally {
    await connection.close();
  }
}

async function checkStream(
  manager: JetStreamManager,
  config: Config,
): Promise<{ findings: Finding[]; info: StreamInfo | null }> {
  const { name } = config.nats.stream;
  let info: StreamInfo;
  try {
    info = await manager.streams.info(name);
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error;
    const finding = warn(
      "stream",
      `${name} does not exist yet; what the filter sends meanwhile is lost`,
      "start the analyzer: it creates the stream",
    );
    return { findings: [finding], info: null };
  }
  const { state } = info;
  const seen = `${name} holds ${count(state.messages, "message")}, ${Math.round(state.bytes / 1_048_576)} MiB`;
  const subject = `${SUBJECT_PREFIX}.>`;
  if (!info.config.subjects?.includes(subject)) {
    const finding = fail(
      "stream",
      `${name} has the subjects ${info.config.subjects?.join(", ")}, expected ${subject}`,
      "set nats.stream.name to another name, or remove that stream",
    );
    return { findings: [finding], info: null };
  }
  const limit = info.config.max_bytes;
  if (limit > 0 && state.bytes > limit * FULL_SHARE) {
    const finding = warn(
      "stream",
      `${seen} of ${Math.round(limit / 1_048_576)} MiB: at the limit the oldest messages go, read or not`,
      "see that the analyzer keeps up, or raise the stream's max_bytes",
    );
    return { findings: [finding], info };
  }
  if (state.messages === 0) {
    const finding = warn(
      "stream",
      `${name} is empty: no filter has sent anything`,
      "start Envoy with `shadowgraph render envoy` and send requests through it",
    );
    return { findings: [finding], info };
  }
  return { findings: [ok("stream", seen)], info };
}

/** The newest ledger of any worker says which run the filter was given, and whether it still speaks. */
async function checkLedger(
  manager: JetStreamManager,
  experiment: ExperimentConfig,
  { config, now }: { config: Config; now: number },
): Promise<Finding> {
  const check = `filter (${experiment.name})`;
  const subject = `${SUBJECT_PREFIX}.${experiment.name}.${SUBJECT_LEDGER}`;
  const message = await manager.streams.getMessage(config.nats.stream.name, {
    last_by_subj: subject,
  });
  if (message === null) {
    return warn(
      check,
      "no worker has reported yet",
      "start Envoy with `shadowgraph render envoy`; if it runs, look for `wasm` in its log",
    );
  }
  const ledger = message.json<{
    run?: unknown;
    clockUs?: unknown;
    final?: unknown;
    requests?: { seen?: unknown; sampled?: unknown };
  }>();
  const ageMs = now - Number(ledger.clockUs) / 1000;
  const seen = `the newest report is ${ageText(ageMs)} old: ${count(Number(ledger.requests?.seen), "request")} seen, ${Number(ledger.requests?.sampled).toLocaleString("en-US")} sampled by that worker`;
  if (ledger.run !== experiment.run) {
    return warn(
      check,
      `the filter works under run ${String(ledger.run)}, this configuration is run ${experiment.run}`,
      "render Envoy's configuration again and restart Envoy",
    );
  }
  if (ledger.final === true) {
    return warn(check, `${seen}; it has said goodbye`, "start Envoy again when you want more");
  }
  const limitMs = LEDGERS_MISSED_MAX * config.filter.ledgerIntervalMs + config.filter.natsTimeoutMs;
  if (ageMs > limitMs) {
    return warn(
      check,
      seen,
      "see that Envoy runs, and that it reaches NATS at envoy.nats (Envoy's log, `shadowgraph`)",
    );
  }
  return ok(check, seen);
}
