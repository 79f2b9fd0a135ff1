import { describe, expect, test } from "@jest/globals";
import { type Config, ConfigError, loadConfig, parseConfig } from "../../analyzer/config.ts";
import { AnalyzerError } from "../../analyzer/errors.ts";

const SMALLEST = `experiments:
  - name: fraud
    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }
    shadows: [ { name: shadow, cluster: fraud-shadow, address: 127.0.0.1:9002 } ]
`;

function parse(text: string, env: Record<string, string> = {}): Config {
  return parseConfig(text, { path: "shadowgraph.yaml", env });
}

function problemsOf(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    parse(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("a sound file", () => {
  test("needs an experiment's name, primary and shadow; everything else has a default", () => {
    const config = parse(SMALLEST);
    expect(config.experiments[0]).toMatchObject({
      name: "fraud",
      match: {},
      sampleFraction: 1,
      requestBytesMax: 1_048_576,
      segments: [],
      latency: { ratioMax: 3, differenceUsMin: 20_000 },
      shadowTimeoutMs: 15_000,
      shadowRequestsMax: 256,
    });
    expect(config.nats).toEqual({
      servers: ["nats://127.0.0.1:4222"],
      user: "",
      password: "",
      token: "",
      partitions: 16,
      stream: {
        name: "SHADOWGRAPH",
        maxAgeMs: 86_400_000,
        maxBytes: 1_073_741_824,
        storage: "file",
        replicas: 1,
      },
    });
    expect(config.clickhouse).toEqual({
      url: "http://127.0.0.1:8123",
      database: "shadowgraph",
      user: "default",
      password: "",
    });
    expect(config.analyzer).toEqual({
      joinWindowMs: 30_000,
      pendingCountMax: 100_000,
      flushIntervalMs: 1_000,
      flushRowsMax: 10_000,
      lanes: 1,
      leaseMs: 10_000,
    });
    expect(config.http).toEqual({ host: "127.0.0.1", port: 8080 });
    expect(config.filter).toEqual({
      tickMs: 200,
      outboxBytes: 4_194_304,
      ledgerIntervalMs: 5_000,
      natsTimeoutMs: 1_000,
    });
    expect(config.retention).toEqual({ pairsDays: 14, rollupsDays: 90 });
    expect(config.envoy).toMatchObject({ listener: "127.0.0.1:10000", nats: "127.0.0.1:4222" });
    expect(config.envoy.wasm).toMatch(/^\/.*build\/shadowgraph\.wasm$/);
  });

  test("cannot be changed after it was read", () => {
    const config = parse(SMALLEST);
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.experiments[0]?.shadows[0])).toBe(true);
    expect(Object.isFrozen(config.nats.stream)).toBe(true);
  });

  test("finds the filter relative to itself, not to where the command runs", () => {
    const config = parseConfig(`${SMALLEST}envoy: { wasm: filter.wasm }\n`, {
      path: "shadowgraph.yaml",
      file: "/somewhere/else/shadowgraph.yaml",
      env: {},
    });
    expect(config.envoy.wasm).toBe("/somewhere/else/filter.wasm");
  });
});

describe("the run", () => {
  const run = (text: string): string => parse(text).experiments[0]?.run ?? "";

  test("is 12 hexadecimal digits and the same for the same configuration, however it is written", () => {
    expect(run(SMALLEST)).toMatch(/^[0-9a-f]{12}$/);
    const other = `experiments:
  - shadows:
      - cluster: fraud-shadow
        name: shadow
        address: 127.0.0.1:9002
    sampleFraction: 1.0   # the default, said aloud
    primary: { address: 127.0.0.1:9001, cluster: fraud-primary }
    name: fraud
`;
    expect(run(other)).toBe(run(SMALLEST));
  });

  test("does not change with an address or with another part of the file", () => {
    expect(run(SMALLEST.replace(":9002", ":9999"))).toBe(run(SMALLEST));
    expect(run(`${SMALLEST}http: { port: 9090 }\n`)).toBe(run(SMALLEST));
  });

  test.each([
    ["the shadow's build", "name: shadow,", "name: shadow, build: v2,"],
    ["the sampled fraction", "- name: fraud", "- name: fraud\n    sampleFraction: 0.5"],
    ["what is matched", "- name: fraud", "- name: fraud\n    match: { pathPrefix: /v1 }"],
    ["a limit of a rule", "- name: fraud", "- name: fraud\n    latency: { ratioMax: 2 }"],
    ["a cluster", "fraud-shadow", "other-shadow"],
  ])("starts anew with %s", (_, from, to) => {
    expect(run(SMALLEST.replace(from, to))).not.toBe(run(SMALLEST));
  });
});

describe("a wrong file", () => {
  test("is answered with every problem at once, each with its line and column", () => {
    const problems = problemsOf(`experiments:
  - name: fraud
    match:
      hedaer: { name: x-canary }
    sampleFraction: 1.5
    primary: { cluster: fraud-primary }
    shadows:
      - { name: shadow, cluster: fraud-shadow, build: 2 }
      - name: other
nats:
  servres: []
clickhouse:
http: { port: eighty }
filter: { tickMs: 1 }
analyzer: { lanes: 0, leaseMs: 0, flushRowsMax: 0 }
retention: { pairsDays: 0, rollupsDays: 0 }
`);
    expect(problems).toEqual([
      "shadowgraph.yaml:4:7 experiments[0].match.hedaer unknown key; did you mean header?",
      "shadowgraph.yaml:5:5 experiments[0].sampleFraction is 1.5, expected a number from 0 to 1",
      "shadowgraph.yaml:8:48 experiments[0].shadows[0].build is 2, expected 1 to 128 printable ASCII characters; put numbers in quotes",
      "shadowgraph.yaml:9:9 experiments[0].shadows[1].cluster is missing: an Envoy cluster's name, 1 to 255 characters without spaces",
      "shadowgraph.yaml:11:3 nats.servres unknown key; did you mean servers?",
      "shadowgraph.yaml:12:1 clickhouse is empty, expected a map of keys; leave the key out for its default",
      'shadowgraph.yaml:13:9 http.port is "eighty", expected a whole number from 0 to 65535',
      "shadowgraph.yaml:14:11 filter.tickMs is 1, expected a whole number from 10 to 10000",
      "shadowgraph.yaml:15:13 analyzer.lanes is 0, expected a whole number from 1 to 256",
      "shadowgraph.yaml:15:23 analyzer.leaseMs is 0, expected a whole number from 1000 to 600000",
      "shadowgraph.yaml:15:35 analyzer.flushRowsMax is 0, expected a whole number from 1 to 1000000",
      "shadowgraph.yaml:16:14 retention.pairsDays is 0, expected a whole number from 1 to 3650",
      "shadowgraph.yaml:16:28 retention.rollupsDays is 0, expected a whole number from 1 to 3650",
    ]);
  });

  test("that is far from any known key is told the known ones", () => {
    expect(problemsOf(`${SMALLEST}retention: { zebra: 1 }\n`)).toEqual([
      "shadowgraph.yaml:5:14 retention.zebra unknown key; known here: pairsDays, rollupsDays",
    ]);
  });

  test("with a secret in it is told the variable, and the secret is not repeated", () => {
    const problems = problemsOf(`${SMALLEST}nats: { password: hunter2 }
clickhouse: { pasword: hunter2 }
`);
    expect(problems).toEqual([
      "shadowgraph.yaml:5:9 nats.password secrets are not read from the file; set SHADOWGRAPH_NATS_PASSWORD",
      "shadowgraph.yaml:6:15 clickhouse.pasword secrets are not read from the file; set CLICKHOUSE_PASSWORD",
    ]);
  });

  test("that is empty, a list or a word is told what a configuration is", () => {
    expect(problemsOf("")).toEqual([
      "shadowgraph.yaml:1:1 experiments is missing: a list of 1 to 16 experiments",
    ]);
    expect(problemsOf("- a\n")[0]).toBe(
      "shadowgraph.yaml:1:1 is a list of 1, expected a map of keys",
    );
    expect(problemsOf("hello\n")[0]).toBe(
      'shadowgraph.yaml:1:1 is "hello", expected a map of keys',
    );
  });

  test("that is not YAML is told where it stops being YAML", () => {
    const broken = (): Config => parse("experiments: [\nnats: 1\nnats: 2\n");
    expect(broken).toThrow(AnalyzerError);
    expect(broken).toThrow(/^shadowgraph\.yaml is not YAML:\n {2}shadowgraph\.yaml:2:1 /);
    expect(broken).toThrow("shadowgraph.yaml:3:1 map keys must be unique");
  });

  test("that does not exist is named", () => {
    expect(() => loadConfig("no/such.yaml", {})).toThrow(
      "no/such.yaml does not exist, expected a configuration there",
    );
  });

  test("is placed correctly when the wrong key comes through an anchor", () => {
    const text = `experiments:
  - name: fraud
    primary: &leg { cluster: a, adress: "x:1" }
    shadows: [ { name: shadow, cluster: b } ]
    control: *leg
`;
    expect(problemsOf(text)).toEqual([
      "shadowgraph.yaml:3:33 experiments[0].primary.adress unknown key; did you mean address?",
      "shadowgraph.yaml:3:33 experiments[0].control.adress unknown key; did you mean address?",
    ]);
  });
});

describe("keys that contradict one another", () => {
  const second = (lines: string): string => `${SMALLEST}  - name: second\n${lines}`;

  test.each<[string, string, RegExp]>([
    [
      "two experiments of one name",
      second("    primary: { cluster: a }\n    shadows: [ { name: s, cluster: b } ]\n").replace(
        "second",
        "fraud",
      ),
      /experiments\[1\]\.name is fraud, which experiments\[0\] has already/,
    ],
    [
      "an experiment that another one hides",
      second("    primary: { cluster: a }\n    shadows: [ { name: s, cluster: b } ]\n"),
      /experiments\[1\]\.match is the same as that of experiments\[0\]/,
    ],
    [
      "two shadows of one name",
      SMALLEST.replace("shadows: [", "shadows: [ { name: shadow, cluster: x },"),
      /shadows\[1\]\.name is shadow, which shadows\[0\] has already/,
    ],
    [
      "a shadow called primary",
      SMALLEST.replace("name: shadow", "name: primary"),
      /shadows\[0\]\.name is primary, which always means another leg/,
    ],
    [
      "a shadow called control",
      SMALLEST.replace("name: shadow", "name: control"),
      /shadows\[0\]\.name is control, which always means another leg/,
    ],
    [
      "a control on the primary's cluster",
      SMALLEST.replace("    shadows", "    control: { cluster: fraud-primary }\n    shadows"),
      /control\.cluster is fraud-primary, which experiments\[0\]\.primary has already/,
    ],
    [
      "a cluster that users reach and that is mirrored",
      second(
        "    match: { pathPrefix: /x }\n    primary: { cluster: fraud-shadow }\n    shadows: [ { name: s, cluster: b } ]\n",
      ),
      /experiments\[1\]\.primary\.cluster is fraud-shadow, which is mirrored in experiments\[0\]\.shadows\[0\]/,
    ],
    [
      "one mirrored cluster with two limits",
      second(
        "    match: { pathPrefix: /x }\n    shadowTimeoutMs: 1000\n    primary: { cluster: p }\n    shadows: [ { name: s, cluster: fraud-shadow, address: 127.0.0.1:9002 } ]\n",
      ),
      /has another shadowTimeoutMs or shadowRequestsMax/,
    ],
    [
      "a segment that holds a secret",
      SMALLEST.replace("    shadows", "    segments: [x-country, cookie]\n    shadows"),
      /segments\[1\] is cookie: segments are stored in clear/,
    ],
    [
      "a header of ours as a condition",
      SMALLEST.replace("    shadows", "    match: { header: { name: x-shadow-me } }\n    shadows"),
      /every x-shadow-\* header of a client is removed first/,
    ],
    [
      "a shadow that may answer after its window",
      SMALLEST.replace("    shadows", "    shadowTimeoutMs: 30000\n    shadows"),
      /shadowTimeoutMs is 30000, expected less than analyzer\.joinWindowMs \(30000\)/,
    ],
    [
      "a window that is not longer than a flush",
      `${SMALLEST}analyzer: { joinWindowMs: 20000, flushIntervalMs: 20000, leaseMs: 60000 }\n`,
      /joinWindowMs is 20000, expected more than analyzer\.flushIntervalMs \(20000\)/,
    ],
    [
      "a stream that forgets what a restart needs",
      `${SMALLEST}nats: { stream: { maxAgeMs: 60000 } }\n`,
      /maxAgeMs is 60000, expected more than 91000/,
    ],
    [
      "more lanes than partitions",
      `${SMALLEST}nats: { partitions: 2 }\nanalyzer: { lanes: 3 }\n`,
      /lanes is 3, expected at most nats\.partitions \(2\)/,
    ],
    [
      "a port that does not exist",
      SMALLEST.replace(":9002", ":90020"),
      /shadows\[0\]\.address has port 90020, expected 1 to 65535/,
    ],
  ])("%s is refused", (_, text, message) => {
    expect(problemsOf(text).join("\n")).toMatch(message);
  });

  test("one shadow for two paths of a service is fine", () => {
    const text = second(
      "    match: { pathPrefix: /x }\n    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }\n    shadows: [ { name: s, cluster: fraud-shadow, address: 127.0.0.1:9002 } ]\n",
    );
    expect(problemsOf(text)).toEqual([]);
  });
});

describe("the environment", () => {
  test("brings addresses and secrets, and wins over the file", () => {
    const config = parse(`${SMALLEST}clickhouse: { url: http://file:1, user: file }\n`, {
      CLICKHOUSE_URL: "https://ch.example:8443",
      CLICKHOUSE_USER: "env",
      CLICKHOUSE_PASSWORD: "secret",
      NATS_URL: "nats://a:4222, nats://b:4222",
      SHADOWGRAPH_NATS_TOKEN: "token",
    });
    expect(config.clickhouse).toMatchObject({
      url: "https://ch.example:8443",
      user: "env",
      password: "secret",
    });
    expect(config.nats.servers).toEqual(["nats://a:4222", "nats://b:4222"]);
    expect(config.nats.token).toBe("token");
  });

  test("may hold user and password in an address; the address that is logged is without them", () => {
    const config = parse(SMALLEST, {
      CLICKHOUSE_URL: "http://me:p%40ss@ch:8123",
      NATS_URL: "nats://you:w%3Aord@n:4222",
    });
    expect(config.clickhouse).toMatchObject({
      url: "http://ch:8123",
      user: "me",
      password: "p@ss",
    });
    expect(config.nats).toMatchObject({
      servers: ["nats://n:4222"],
      user: "you",
      password: "w:ord",
    });
  });

  test("with an empty variable is as without it", () => {
    expect(parse(SMALLEST, { CLICKHOUSE_URL: "", NATS_URL: "" })).toEqual(parse(SMALLEST));
  });

  test("is named when a variable is wrong", () => {
    expect(problemsOf(SMALLEST, { CLICKHOUSE_URL: "ch:8123" })).toEqual([
      'CLICKHOUSE_URL is "ch:8123", expected an address like http://127.0.0.1:8123 (no password: see CLICKHOUSE_PASSWORD)',
    ]);
    expect(
      problemsOf(SMALLEST, { SHADOWGRAPH_NATS_TOKEN: "t", SHADOWGRAPH_NATS_PASSWORD: "p" }),
    ).toEqual(["NATS has a token and a user or password: expected one of the two"]);
  });
});
