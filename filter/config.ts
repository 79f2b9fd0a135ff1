import {
  EXPERIMENT_CHARS_MAX,
  LEG_CHARS_MAX,
  LEG_PRIMARY,
  LEGS_MAX,
  METHOD_CHARS_MAX,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  RUN_CHARS_MAX,
  SEGMENTS_MAX,
} from "../wire/format";
import { freeText, Text, text } from "./host/text";
import { isString, JsonReader } from "./json";
import { addLedgerLeg, openLedger, releaseLedger, retainLedger } from "./ledger";
import { OUTBOX_BYTES_MAX, OUTBOX_BYTES_MIN } from "./outbox";
import { sampleThreshold } from "./sampling";

export enum Role {
  None = 0,
  Tagger = 1,
  Observer = 2,
}

export const EXPERIMENTS_MAX = 16;
const HOSTS_MAX = 32;
const METHODS_MAX = 16;
const HOST_CHARS_MAX = 255;
const PREFIX_CHARS_MAX = 1024;
const HEADER_NAME_CHARS_MAX = 64;
const HEADER_VALUE_CHARS_MAX = 256;
const CLUSTER_CHARS_MAX = 255;
const SECRET_CHARS_MAX = 1024;

/** A deployment of an experiment, by the Envoy cluster that serves it. */
@unmanaged
export class Leg {
  cluster: usize = 0;
  name: usize = 0;
  /** Where the ledger counts it. */
  ledgerLeg: i32 = 0;
  isPrimary: bool = false;
}

/** Addresses are of Text unless they say otherwise; 0 where nothing is asked for. */
@unmanaged
export class Experiment {
  name: usize = 0;
  run: usize = 0;
  pathPrefix: usize = 0;
  headerName: usize = 0;
  headerValue: usize = 0;
  /** Lists of addresses. */
  hosts: usize = 0;
  methods: usize = 0;
  segments: usize = 0;
  /** A list of Leg. */
  legs: usize = 0;
  hostCount: i32 = 0;
  methodCount: i32 = 0;
  segmentCount: i32 = 0;
  legCount: i32 = 0;
  ledger: i32 = -1;
  partitions: u32 = PARTITIONS_DEFAULT;
  sampleThreshold: u64 = 0;
  requestBytesMax: u64 = 0;
  /** How long a mirrored leg may take before Envoy ends it. */
  shadowTimeoutUs: u64 = 0;
}

/**
 * One root context's configuration, outside the collected heap: requests read it by address. It lives until its root is
 * gone and the last request that began under it has ended.
 */
@unmanaged
export class Config {
  role: Role = Role.None;
  experiments: usize = 0;
  experimentCount: i32 = 0;
  /** Contexts, live requests and observations that hold it. */
  uses: i32 = 0;
  /** Its root is gone: the last use frees it. */
  ended: bool = false;
  /** Whether its ledgers still count on it. */
  retained: bool = false;
}

export function experimentAt(config: Config, index: i32): Experiment {
  return changetype<Experiment>(config.experiments + <usize>index * offsetof<Experiment>());
}

export function legAt(experiment: Experiment, index: i32): Leg {
  return changetype<Leg>(experiment.legs + <usize>index * offsetof<Leg>());
}

/** An element of a list of addresses of Text. */
export function textAt(list: usize, index: i32): Text {
  return changetype<Text>(<usize>load<u32>(list + ((<usize>index) << 2)));
}

export function asText(at: usize): Text {
  return changetype<Text>(at);
}

/** What the outbox is configured with; of the newest configuration that was read. */
export class Transport {
  cluster: string = "";
  user: string = "";
  password: string = "";
  token: string = "";
  timeoutMs: i32 = 1000;
  tickMs: i32 = 200;
  ledgerIntervalMs: i32 = 5000;
  outboxBytes: i32 = 4194304;
}

export let transport: Transport = new Transport();
/** Why the last `readConfig` answered none. Names the key, never a value that may be secret. */
export let configMistake: string = "";

function take(bytes: usize): usize {
  const at = heap.alloc(bytes);
  memory.fill(at, 0, bytes);
  return at;
}

/** Null when it is wrong in any way; then nothing has changed. Values are checked here, once. */
export function readConfig(from: usize, bytes: i32): Config | null {
  const reader = new JsonReader(from, bytes);
  const found = new Transport();
  const config = changetype<Config>(take(offsetof<Config>()));
  config.role = Role.None;
  config.experiments = take(<usize>EXPERIMENTS_MAX * offsetof<Experiment>());
  config.experimentCount = 0;
  for (let index = 0; index < EXPERIMENTS_MAX; index++) experimentAt(config, index).ledger = -1;

  reader.enterObject();
  while (reader.nextKey()) {
    if (isString(reader.key, "role")) config.role = readRole(reader);
    else if (isString(reader.key, "experiments")) readExperiments(reader, config);
    else if (isString(reader.key, "nats")) readNats(reader, found);
    else if (isString(reader.key, "tickMs")) found.tickMs = reader.readInteger(10, 10000);
    else if (isString(reader.key, "ledgerIntervalMs"))
      found.ledgerIntervalMs = reader.readInteger(100, 3600000);
    else if (isString(reader.key, "outboxBytes"))
      found.outboxBytes = reader.readInteger(OUTBOX_BYTES_MIN, OUTBOX_BYTES_MAX);
    else reader.failKey();
  }
  reader.readEnd();
  if (reader.fine && config.role === Role.None) reader.failAt("role", "missing");
  if (reader.fine && config.experimentCount === 0) {
    reader.failAt("experiments", "expected at least one");
  }
  if (reader.fine && found.cluster.length === 0) reader.failAt("nats.cluster", "missing");
  if (!reader.fine || !openLedgers(reader, config)) {
    configMistake = reader.mistake;
    freeConfig(config);
    return null;
  }
  transport = found;
  return config;
}

function readRole(reader: JsonReader): Role {
  const role = reader.readString();
  if (isString(role, "tagger")) return Role.Tagger;
  if (isString(role, "observer")) return Role.Observer;
  reader.fail('expected "tagger" or "observer"');
  return Role.None;
}

function readNats(reader: JsonReader, found: Transport): void {
  reader.enterObject();
  while (reader.nextKey()) {
    if (isString(reader.key, "cluster")) {
      found.cluster = readBounded(reader, 1, CLUSTER_CHARS_MAX);
    } else if (isString(reader.key, "user")) {
      found.user = readBounded(reader, 0, SECRET_CHARS_MAX);
    } else if (isString(reader.key, "password")) {
      found.password = readBounded(reader, 0, SECRET_CHARS_MAX);
    } else if (isString(reader.key, "token")) {
      found.token = readBounded(reader, 0, SECRET_CHARS_MAX);
    } else if (isString(reader.key, "timeoutMs")) {
      found.timeoutMs = reader.readInteger(10, 60000);
    } else {
      reader.failKey();
    }
  }
}

function readBounded(reader: JsonReader, charsMin: i32, charsMax: i32): string {
  const value = reader.readString();
  if (value.length < charsMin || value.length > charsMax) {
    reader.fail(`expected ${charsMin.toString()} to ${charsMax.toString()} characters`);
  }
  return value;
}

/** A token of RFC 9110, as names of headers and methods are. */
function isTokenChar(char: i32): bool {
  if (char >= 0x30 && char <= 0x39) return true;
  if ((char | 0x20) >= 0x61 && (char | 0x20) <= 0x7a) return true;
  return char < 0x7f && "!#$%&'*+-.^_`|~".includes(String.fromCharCode(char));
}

function readHeaderName(reader: JsonReader): string {
  const name = readBounded(reader, 1, HEADER_NAME_CHARS_MAX);
  for (let index = 0; index < name.length; index++) {
    const char = name.charCodeAt(index);
    if (!isTokenChar(char) || (char >= 0x41 && char <= 0x5a)) {
      reader.fail("expected the name of a header in lower case");
    }
  }
  if (name.startsWith("x-shadow-")) reader.fail("x-shadow-* is removed from every request");
  return name;
}

/** `[a-z0-9][a-z0-9-]*`: as it stands in subjects, headers and JSON without any escape. */
function readName(reader: JsonReader, charsMax: i32): string {
  const name = readBounded(reader, 1, charsMax);
  for (let index = 0; index < name.length; index++) {
    const char = name.charCodeAt(index);
    const plain = (char >= 0x61 && char <= 0x7a) || (char >= 0x30 && char <= 0x39);
    if (!plain && !(index > 0 && char === 0x2d)) {
      reader.fail("expected lower-case letters, digits and, after the first, dashes");
      break;
    }
  }
  return name;
}

function readExperiments(reader: JsonReader, config: Config): void {
  reader.enterList();
  while (reader.nextItem()) {
    if (config.experimentCount === EXPERIMENTS_MAX) {
      reader.fail(`expected at most ${EXPERIMENTS_MAX.toString()}`);
      return;
    }
    const experiment = experimentAt(config, config.experimentCount);
    config.experimentCount++;
    readExperiment(reader, experiment);
    for (let index = 0; index < config.experimentCount - 1; index++) {
      const other = experimentAt(config, index).name;
      if (reader.fine && isString(stringOf(other), stringOf(experiment.name))) {
        reader.fail("has the name of an earlier one");
      }
    }
  }
}

function stringOf(at: usize): string {
  return at === 0 ? "" : String.UTF8.decodeUnsafe(asText(at).at, <usize>asText(at).bytes);
}

function keep(value: string): usize {
  return changetype<usize>(text(value));
}

function readExperiment(reader: JsonReader, experiment: Experiment): void {
  let sampleFraction: f64 = 1;
  experiment.partitions = PARTITIONS_DEFAULT;
  experiment.requestBytesMax = 1048576;
  experiment.shadowTimeoutUs = 15000000;
  const place = reader.enterObject();
  while (reader.nextKey()) {
    if (isString(reader.key, "name")) {
      experiment.name = keep(readName(reader, EXPERIMENT_CHARS_MAX));
    } else if (isString(reader.key, "run")) {
      experiment.run = keep(readName(reader, RUN_CHARS_MAX));
    } else if (isString(reader.key, "match")) {
      readMatch(reader, experiment);
    } else if (isString(reader.key, "sampleFraction")) {
      sampleFraction = reader.readNumber(0, 1);
    } else if (isString(reader.key, "requestBytesMax")) {
      experiment.requestBytesMax = <u64>reader.readInteger(0, 1073741824);
    } else if (isString(reader.key, "partitions")) {
      experiment.partitions = <u32>reader.readInteger(1, PARTITIONS_MAX);
    } else if (isString(reader.key, "shadowTimeoutMs")) {
      experiment.shadowTimeoutUs = <u64>reader.readInteger(1, 86400000) * 1000;
    } else if (isString(reader.key, "legs")) {
      readLegs(reader, experiment);
    } else if (isString(reader.key, "segments")) {
      readSegments(reader, experiment);
    } else {
      reader.failKey();
    }
  }
  experiment.sampleThreshold = sampleThreshold(sampleFraction);
  if (!place || !reader.fine) return;
  if (experiment.name === 0) reader.failAt("name", "missing");
  if (experiment.run === 0) reader.failAt("run", "missing");
  if (experiment.legCount === 0) reader.failAt("legs", "missing");
}

function readMatch(reader: JsonReader, experiment: Experiment): void {
  reader.enterObject();
  while (reader.nextKey()) {
    if (isString(reader.key, "hosts")) {
      experiment.hosts = take((<usize>HOSTS_MAX) << 2);
      reader.enterList();
      while (reader.nextItem()) {
        const host = readBounded(reader, 1, HOST_CHARS_MAX);
        for (let index = 0; index < host.length; index++) {
          const char = host.charCodeAt(index);
          if (char >= 0x41 && char <= 0x5a) reader.fail("expected a host in lower case");
        }
        if (experiment.hostCount === HOSTS_MAX) {
          reader.fail(`expected at most ${HOSTS_MAX.toString()}`);
          return;
        }
        store<u32>(experiment.hosts + ((<usize>experiment.hostCount) << 2), <u32>keep(host));
        experiment.hostCount++;
      }
    } else if (isString(reader.key, "methods")) {
      experiment.methods = take((<usize>METHODS_MAX) << 2);
      reader.enterList();
      while (reader.nextItem()) {
        const method = readBounded(reader, 1, METHOD_CHARS_MAX);
        if (experiment.methodCount === METHODS_MAX) {
          reader.fail(`expected at most ${METHODS_MAX.toString()}`);
          return;
        }
        store<u32>(experiment.methods + ((<usize>experiment.methodCount) << 2), <u32>keep(method));
        experiment.methodCount++;
      }
    } else if (isString(reader.key, "pathPrefix")) {
      const prefix = readBounded(reader, 1, PREFIX_CHARS_MAX);
      if (!prefix.startsWith("/")) reader.fail("expected a path that begins with /");
      experiment.pathPrefix = keep(prefix);
    } else if (isString(reader.key, "header")) {
      reader.enterObject();
      while (reader.nextKey()) {
        if (isString(reader.key, "name")) experiment.headerName = keep(readHeaderName(reader));
        else if (isString(reader.key, "value")) {
          experiment.headerValue = keep(readBounded(reader, 0, HEADER_VALUE_CHARS_MAX));
        } else reader.failKey();
      }
      if (reader.fine && experiment.headerName === 0) reader.failAt("name", "missing");
    } else {
      reader.failKey();
    }
  }
}

function readLegs(reader: JsonReader, experiment: Experiment): void {
  experiment.legs = take(<usize>LEGS_MAX * offsetof<Leg>());
  let primaries = 0;
  const entered = reader.enterObject();
  while (reader.nextKey()) {
    if (experiment.legCount === LEGS_MAX) {
      reader.fail(`expected at most ${LEGS_MAX.toString()}`);
      return;
    }
    if (reader.key.length === 0 || reader.key.length > CLUSTER_CHARS_MAX) {
      reader.fail("expected the name of a cluster");
      return;
    }
    const leg = legAt(experiment, experiment.legCount);
    experiment.legCount++;
    leg.cluster = keep(reader.key);
    const name = readName(reader, LEG_CHARS_MAX);
    leg.name = keep(name);
    leg.isPrimary = isString(name, LEG_PRIMARY);
    if (leg.isPrimary) primaries++;
  }
  if (!entered || !reader.fine) return;
  if (primaries === 0) reader.fail('expected a cluster that is "primary"');
}

function readSegments(reader: JsonReader, experiment: Experiment): void {
  experiment.segments = take((<usize>SEGMENTS_MAX) << 2);
  reader.enterList();
  while (reader.nextItem()) {
    if (experiment.segmentCount === SEGMENTS_MAX) {
      reader.fail(`expected at most ${SEGMENTS_MAX.toString()}`);
      return;
    }
    const name = readHeaderName(reader);
    store<u32>(experiment.segments + ((<usize>experiment.segmentCount) << 2), <u32>keep(name));
    experiment.segmentCount++;
  }
}

function openLedgers(reader: JsonReader, config: Config): bool {
  for (let index = 0; index < config.experimentCount; index++) {
    const experiment = experimentAt(config, index);
    const name = stringOf(experiment.name);
    const ledger = openLedger(name, stringOf(experiment.run));
    if (ledger < 0) {
      reader.fail(`experiments: no room to count another run, ${name} is one too many`);
      return false;
    }
    experiment.ledger = ledger;
    for (let leg = 0; leg < experiment.legCount; leg++) {
      const place = addLedgerLeg(ledger, stringOf(legAt(experiment, leg).name));
      if (place < 0) {
        reader.fail(`experiments: too many legs of ${name} in one run`);
        return false;
      }
      legAt(experiment, leg).ledgerLeg = place;
    }
  }
  for (let index = 0; index < config.experimentCount; index++) {
    retainLedger(experimentAt(config, index).ledger);
  }
  config.retained = true;
  return true;
}

/** Something of a request holds it from now on. */
export function useConfig(config: Config): void {
  config.uses++;
}

export function leaveConfig(config: Config): void {
  config.uses--;
  if (config.ended && config.uses <= 0) freeConfig(config);
}

/**
 * The root says goodbye: its runs' closing ledgers become due, unless requests are still under way; then with the last
 * of them.
 */
export function closeConfig(config: Config): void {
  if (config.uses <= 0) letGoOfLedgers(config);
}

/** The root is gone. */
export function endConfig(config: Config): void {
  config.ended = true;
  if (config.uses <= 0) freeConfig(config);
}

function letGoOfLedgers(config: Config): void {
  if (!config.retained) return;
  config.retained = false;
  for (let index = 0; index < config.experimentCount; index++) {
    releaseLedger(experimentAt(config, index).ledger);
  }
}

function freeConfig(config: Config): void {
  letGoOfLedgers(config);
  for (let index = 0; index < config.experimentCount; index++) {
    const experiment = experimentAt(config, index);
    freeIfAny(experiment.name);
    freeIfAny(experiment.run);
    freeIfAny(experiment.pathPrefix);
    freeIfAny(experiment.headerName);
    freeIfAny(experiment.headerValue);
    freeList(experiment.hosts, experiment.hostCount);
    freeList(experiment.methods, experiment.methodCount);
    freeList(experiment.segments, experiment.segmentCount);
    for (let leg = 0; leg < experiment.legCount; leg++) {
      freeIfAny(legAt(experiment, leg).cluster);
      freeIfAny(legAt(experiment, leg).name);
    }
    if (experiment.legs !== 0) heap.free(experiment.legs);
  }
  heap.free(config.experiments);
  heap.free(changetype<usize>(config));
}

function freeIfAny(at: usize): void {
  if (at !== 0) freeText(asText(at));
}

function freeList(list: usize, count: i32): void {
  for (let index = 0; index < count; index++)
    freeIfAny(<usize>load<u32>(list + ((<usize>index) << 2)));
  if (list !== 0) heap.free(list);
}
