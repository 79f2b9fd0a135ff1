import { HEADER_PREFIX, LEG_CONTROL, LEG_PRIMARY } from "../../wire/format.ts";
import type { KeyPath, Problem } from "./problem.ts";
import type { File } from "./schema.ts";

type Experiment = File["experiments"][number];

/** Headers that are credentials: as a segment their value would be stored in clear. */
const CREDENTIALS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "x-auth-token",
  "x-csrf-token",
  "idempotency-key",
]);

/** What a schema cannot say: one key against another. */
export function checkMeaning(file: File): Problem[] {
  const problems: Problem[] = [];
  const add = (path: KeyPath, message: string): void => {
    problems.push({ path, message, atKey: false });
  };
  checkNames(file, add);
  checkClusters(file, add);
  for (const [index, experiment] of file.experiments.entries()) {
    checkMatch(file, index, add);
    checkSegments(experiment, index, add);
    checkPorts(experiment, index, add);
    // The shadow's record may come as late as its time limit; a window that is not longer would call it an orphan.
    if (experiment.shadowTimeoutMs >= file.analyzer.joinWindowMs) {
      add(
        ["experiments", index, "shadowTimeoutMs"],
        `is ${experiment.shadowTimeoutMs}, expected less than analyzer.joinWindowMs (${file.analyzer.joinWindowMs}): a shadow that answers late would always miss its partner`,
      );
    }
  }
  checkTimes(file, add);
  for (const key of ["listener", "admin", "nats"] as const) {
    checkPort(["envoy", key], file.envoy[key], add);
  }
  return problems;
}

type Add = (path: KeyPath, message: string) => void;

function checkNames(file: File, add: Add): void {
  const experiments = new Map<string, number>();
  for (const [index, experiment] of file.experiments.entries()) {
    const first = experiments.get(experiment.name);
    if (first === undefined) experiments.set(experiment.name, index);
    else
      add(
        ["experiments", index, "name"],
        `is ${experiment.name}, which experiments[${first}] has already`,
      );
    const shadows = new Map<string, number>();
    for (const [place, shadow] of experiment.shadows.entries()) {
      const path = ["experiments", index, "shadows", place, "name"];
      const earlier = shadows.get(shadow.name);
      if (shadow.name === LEG_PRIMARY || shadow.name === LEG_CONTROL) {
        add(path, `is ${shadow.name}, which always means another leg; choose another name`);
      } else if (earlier !== undefined) {
        add(path, `is ${shadow.name}, which shadows[${earlier}] has already`);
      } else shadows.set(shadow.name, place);
    }
  }
}

interface Use {
  readonly path: KeyPath;
  readonly experiment: number;
  readonly mirrored: boolean;
  readonly address: string | undefined;
  readonly http2: boolean;
  readonly timeoutMs: number;
  readonly requestsMax: number;
}

/** Legs are told apart by their cluster, and the limits of a mirrored cluster must never meet a user's request. */
function checkClusters(file: File, add: Add): void {
  const uses = new Map<string, Use[]>();
  for (const [index, experiment] of file.experiments.entries()) {
    for (const { leg, path, mirrored } of legs(experiment, index)) {
      const use: Use = {
        path,
        experiment: index,
        mirrored,
        address: leg.address,
        http2: leg.http2 === true,
        timeoutMs: experiment.shadowTimeoutMs,
        requestsMax: experiment.shadowRequestsMax,
      };
      const earlier = uses.get(leg.cluster) ?? [];
      const message = clash(leg.cluster, use, earlier);
      if (message !== null) add([...path, "cluster"], message);
      uses.set(leg.cluster, [...earlier, use]);
    }
  }
}

function clash(cluster: string, use: Use, earlier: readonly Use[]): string | null {
  for (const other of earlier) {
    const where = other.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`));
    const text = where.join("").slice(1);
    if (other.experiment === use.experiment) {
      return `is ${cluster}, which ${text} has already: the legs of an experiment are told apart by their cluster`;
    }
    if (other.mirrored !== use.mirrored) {
      return `is ${cluster}, which is ${other.mirrored ? "mirrored" : "a primary"} in ${text}: the limits of a mirrored cluster would cut off users' requests`;
    }
    if (other.address !== use.address || other.http2 !== use.http2) {
      return `is ${cluster}, which has another address or protocol in ${text}`;
    }
    if (
      use.mirrored &&
      (other.timeoutMs !== use.timeoutMs || other.requestsMax !== use.requestsMax)
    ) {
      return `is ${cluster}, which has another shadowTimeoutMs or shadowRequestsMax in ${text}: one cluster has one limit`;
    }
  }
  return null;
}

function legs(experiment: Experiment, index: number) {
  const base = ["experiments", index] as const;
  return [
    { leg: experiment.primary, path: [...base, "primary"], mirrored: false },
    ...experiment.shadows.map((leg, place) => ({
      leg,
      path: [...base, "shadows", place],
      mirrored: true,
    })),
    ...(experiment.control
      ? [{ leg: experiment.control, path: [...base, "control"], mirrored: true }]
      : []),
  ];
}

function checkMatch(file: File, index: number, add: Add): void {
  const match = file.experiments[index]?.match;
  if (match === undefined) return;
  const path = ["experiments", index, "match"];
  if (match.methods?.includes("CONNECT")) {
    add([...path, "methods"], "has CONNECT, which Envoy never mirrors");
  }
  if (match.header?.name.startsWith(HEADER_PREFIX)) {
    add(
      [...path, "header", "name"],
      `is ${match.header.name}, but every ${HEADER_PREFIX}* header of a client is removed first`,
    );
  }
  const text = JSON.stringify(sorted(match));
  const same = file.experiments.findIndex((other) => JSON.stringify(sorted(other.match)) === text);
  if (same < index) {
    add(
      path,
      `is the same as that of experiments[${same}], which comes first: this experiment would never see a request`,
    );
  }
}

function sorted(match: Experiment["match"]): unknown {
  return [
    [...(match.hosts ?? [])].sort(),
    match.pathPrefix ?? "/",
    [...(match.methods ?? [])].sort(),
    match.header?.name,
    match.header?.value,
  ];
}

function checkSegments(experiment: Experiment, index: number, add: Add): void {
  for (const [place, name] of experiment.segments.entries()) {
    const path = ["experiments", index, "segments", place];
    if (CREDENTIALS.has(name)) {
      add(path, `is ${name}: segments are stored in clear, and this header holds a secret`);
    } else if (name.startsWith(HEADER_PREFIX)) {
      add(path, `is ${name}, but every ${HEADER_PREFIX}* header of a client is removed first`);
    } else if (experiment.segments.indexOf(name) < place) {
      add(path, `is ${name}, which is in the list already`);
    }
  }
}

function checkPorts(experiment: Experiment, index: number, add: Add): void {
  for (const { leg, path } of legs(experiment, index)) {
    if (leg.address !== undefined) checkPort([...path, "address"], leg.address, add);
  }
}

function checkPort(path: KeyPath, address: string, add: Add): void {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  if (port < 1 || port > 65_535) add(path, `has port ${port}, expected 1 to 65535`);
}

function checkTimes(file: File, add: Add): void {
  const { joinWindowMs, flushIntervalMs, leaseMs, lanes } = file.analyzer;
  if (joinWindowMs <= flushIntervalMs) {
    add(
      ["analyzer", "joinWindowMs"],
      `is ${joinWindowMs}, expected more than analyzer.flushIntervalMs (${flushIntervalMs})`,
    );
  }
  if (leaseMs <= flushIntervalMs) {
    add(
      ["analyzer", "leaseMs"],
      `is ${leaseMs}, expected more than analyzer.flushIntervalMs (${flushIntervalMs}): an owner renews its lease when it writes`,
    );
  }
  // A restart reads the last three windows again; what the stream has forgotten by then would be lost.
  const replayMs = 3 * joinWindowMs + flushIntervalMs;
  if (file.nats.stream.maxAgeMs <= replayMs) {
    add(
      ["nats", "stream", "maxAgeMs"],
      `is ${file.nats.stream.maxAgeMs}, expected more than ${replayMs}: three times analyzer.joinWindowMs plus analyzer.flushIntervalMs, which a restart reads again`,
    );
  }
  if (lanes > file.nats.partitions) {
    add(
      ["analyzer", "lanes"],
      `is ${lanes}, expected at most nats.partitions (${file.nats.partitions})`,
    );
  }
}
