import type { Config, ExperimentConfig } from "../../config.ts";
import type { AccountingResponse, HealthResponse } from "../../http/schemas.ts";
import { count, type Finding, fail, messageOf, ok, warn } from "./finding.ts";

/** Messages that may wait before somebody should look. */
const LAG_MESSAGES_MAX = 10_000;

/** The running analyzer: its own health, and whether its books balance. */
export async function checkAnalyzer(
  config: Config,
  { timeoutMs }: { timeoutMs: number },
): Promise<Finding[]> {
  const base = `http://${hostToAsk(config.http.host)}:${config.http.port}`;
  let health: HealthResponse;
  try {
    health = await getJson<HealthResponse>(`${base}/health`, timeoutMs, [200, 503]);
    if (!Array.isArray(health.lanes)) throw new Error("something else answers there");
  } catch (error) {
    return [
      warn(
        "analyzer",
        `none at ${base}: ${messageOf(error)}`,
        "start it: `shadowgraph analyzer`, or `shadowgraph up` with servers of its own",
      ),
    ];
  }
  const findings = [stateOf(base, health)];
  for (const experiment of config.experiments) {
    findings.push(await checkBooks(base, experiment, timeoutMs));
  }
  return findings;
}

function stateOf(base: string, health: HealthResponse): Finding {
  for (const [name, service] of [
    ["NATS", health.nats],
    ["ClickHouse", health.clickhouse],
  ] as const) {
    if (service.state === "down") {
      return fail(
        "analyzer",
        `${base} waits for ${name}: ${service.message}`,
        `bring ${name} back; nothing is lost meanwhile, as long as the stream holds it`,
      );
    }
  }
  const lag = Math.max(0, ...health.lanes.map((lane) => lane.lagMessages ?? 0));
  const owned = health.lanes.filter((lane) => lane.owner).length;
  const seen = `${base} reads ${owned} of ${count(health.lanes.length, "lane")}, ${count(lag, "message")} behind`;
  return lag > LAG_MESSAGES_MAX
    ? warn("analyzer", seen, "wait, or run more analyzers with more analyzer.lanes")
    : ok("analyzer", seen);
}

async function checkBooks(
  base: string,
  { name, run }: ExperimentConfig,
  timeoutMs: number,
): Promise<Finding> {
  const check = `books (${name})`;
  const url = `${base}/api/v1/experiments/${name}/accounting?run=${run}`;
  try {
    const books = await getJson<AccountingResponse>(url, timeoutMs, [200]);
    if (books.balanced) return ok(check, books.sentence);
    return warn(check, `${books.sentence} ${books.reasons.join(" ")}`, "see the page's accounting");
  } catch (error) {
    return warn(
      check,
      `not known: ${messageOf(error)}`,
      "send requests through Envoy, then ask again",
    );
  }
}

async function getJson<T>(url: string, timeoutMs: number, expected: number[]): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((error) => {
    const { cause } = error as { cause?: { code?: string } };
    throw new Error(cause?.code ?? messageOf(error));
  });
  if (!expected.includes(response.status)) {
    const problem = (await response.json().catch(() => ({}))) as { detail?: string };
    throw new Error(problem.detail ?? `HTTP ${response.status}`);
  }
  return (await response.json()) as T;
}

/** Whoever listens everywhere answers on loopback. */
function hostToAsk(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
