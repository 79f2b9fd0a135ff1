import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { type Config, parseConfig } from "../../analyzer/config.ts";
import { ENVOY, findBinary } from "../../analyzer/embedded/binary.mjs";
import { filterConfig } from "../../analyzer/envoy/filter-config.ts";
import { holdsSecret, renderEnvoy, renderFragments } from "../../analyzer/envoy/render.ts";
import { startBackend } from "../support/backend.ts";
import { emptyWasm } from "../support/empty-wasm.ts";
import { startEnvoy } from "../support/envoy.ts";
import { freePorts } from "../support/ports.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

/** Everything that a configuration can say. */
const RICH = `experiments:
  - name: fraud
    match:
      hosts: [fraud.example, score.example]
      pathPrefix: /v1/
      methods: [GET, POST]
      header: { name: x-canary, value: 'it''s "1"' }
    sampleFraction: 0.5
    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }
    shadows:
      - { name: next, cluster: fraud-next, address: localhost:9002, build: v2 }
      - { name: grpc, cluster: "outbound|80||grpc", address: "[::1]:9004", http2: true }
    control: { cluster: fraud-control, address: 127.0.0.1:9003 }
    segments: [x-country]
    shadowTimeoutMs: 2500
    shadowRequestsMax: 7
  - name: rest
    match: { header: { name: x-any } }
    primary: { cluster: fraud-primary, address: 127.0.0.1:9001 }
    shadows: [ { name: next, cluster: rest-next, address: 127.0.0.1:9005 } ]
nats: { user: filter }
envoy: { wasm: filter.wasm }
`;
const SECRETS = { SHADOWGRAPH_NATS_PASSWORD: 'p"\\ä: {}' };

let dir: TempDir;

beforeAll(() => {
  dir = tempDir("render");
  writeFileSync(join(dir.path, "filter.wasm"), emptyWasm());
});

afterAll(() => dir.remove());

function config(text: string, env: Record<string, string> = {}): Config {
  return parseConfig(text, {
    path: "shadowgraph.yaml",
    file: join(dir.path, "shadowgraph.yaml"),
    env,
  });
}

async function validate(yaml: string, name: string): Promise<string> {
  const binary = findBinary(ENVOY);
  if (binary.path === undefined) throw new Error(binary.problem);
  const file = join(dir.path, `${name}.yaml`);
  writeFileSync(file, yaml);
  const run = promisify(execFile)(binary.path, ["--mode", "validate", "-c", file], {
    timeout: 60_000,
  });
  const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

interface Route {
  readonly match: { readonly prefix: string; readonly headers?: readonly { name: string }[] };
  readonly request_headers_to_remove?: readonly string[];
  readonly route: {
    readonly cluster: string;
    readonly request_mirror_policies?: readonly object[];
  };
}

interface Cluster {
  readonly name: string;
  readonly circuit_breakers?: object;
  readonly typed_extension_protocol_options?: Record<
    string,
    {
      common_http_protocol_options?: {
        max_stream_duration?: string;
        max_requests_per_connection?: number;
      };
    }
  >;
}

interface Bootstrap {
  readonly static_resources: {
    readonly listeners: readonly {
      readonly filter_chains: readonly {
        readonly filters: readonly { readonly typed_config: Manager }[];
      }[];
    }[];
    readonly clusters: readonly Cluster[];
  };
}

interface Manager {
  early_header_mutation_extensions?: unknown;
  readonly http_filters: {
    readonly name: string;
    readonly typed_config: Record<string, unknown>;
  }[];
  readonly route_config: {
    readonly virtual_hosts: readonly {
      readonly domains: readonly string[];
      readonly include_request_attempt_count?: boolean;
      readonly routes: readonly Route[];
    }[];
  };
}

function managerOf(bootstrap: Bootstrap): Manager {
  const manager =
    bootstrap.static_resources.listeners[0]?.filter_chains[0]?.filters[0]?.typed_config;
  if (manager === undefined) throw new Error("no listener");
  return manager;
}

function limitsOf(cluster: Cluster | undefined) {
  const [options] = Object.values(cluster?.typed_extension_protocol_options ?? {});
  return options?.common_http_protocol_options;
}

describe("a complete Envoy configuration", () => {
  test("is accepted by the real Envoy, with every key of the configuration in use", async () => {
    const said = await validate(renderEnvoy(config(RICH, SECRETS)).yaml, "complete");
    expect(said).toMatch(/configuration '.*' OK/);
  }, 60_000);

  test("reads back as exactly what its object tree says", () => {
    const { yaml, plain } = renderEnvoy(config(RICH, SECRETS));
    expect(parse(yaml)).toEqual(plain);
  });

  test("says why each part is there", () => {
    const { yaml } = renderEnvoy(config(RICH, SECRETS));
    expect(yaml).toContain("# Removes our headers from what clients send");
    expect(yaml).toContain("# A shadow that stops reading stalls the user's upload");
    expect(yaml).toContain("It holds the NATS password or token");
    expect(renderEnvoy(config(RICH)).yaml).not.toContain("It holds the NATS password");
    expect(holdsSecret(config(RICH))).toBe(false);
    for (const line of yaml.split("\n").filter((one) => one.trimStart().startsWith("#"))) {
      expect(line.trimStart().length).toBeLessThanOrEqual(102);
    }
  });

  test("treats the primary alike on the mirrored and on the plain route", () => {
    const manager = managerOf(renderEnvoy(config(RICH)).plain as Bootstrap);
    for (const host of manager.route_config.virtual_hosts) {
      expect(host).not.toHaveProperty("include_request_attempt_count");
      for (const { route, ...rest } of host.routes) {
        const { request_mirror_policies: mirrors, ...action } = route;
        expect(action).toEqual({ cluster: "fraud-primary", timeout: "15s" });
        const sampled =
          rest.match.headers?.some(({ name }) => name === "x-shadow-sampled") ?? false;
        expect(mirrors !== undefined).toBe(sampled);
        expect(rest.request_headers_to_remove).toEqual(sampled ? ["x-shadow-sampled"] : undefined);
      }
    }
  });

  test("sends what an experiment leaves out to its primary, unmirrored", () => {
    const manager = managerOf(renderEnvoy(config(RICH)).plain as Bootstrap);
    const [named, any] = manager.route_config.virtual_hosts;
    expect(named?.domains).toEqual(["fraud.example", "score.example"]);
    expect(any?.domains).toEqual(["*"]);
    const plain = named?.routes.slice(2).map(({ match }) => match);
    expect(plain).toEqual([
      {
        prefix: "/v1/",
        headers: [
          { name: ":method", string_match: { safe_regex: { regex: "GET|POST" } } },
          { name: "x-canary", string_match: { exact: `it's "1"` } },
        ],
      },
      { prefix: "/", headers: [{ name: "x-any", present_match: true }] },
      { prefix: "/v1/" },
      { prefix: "/" },
    ]);
  });

  test("limits every mirrored cluster and no other", () => {
    const { clusters } = (renderEnvoy(config(RICH)).plain as Bootstrap).static_resources;
    const limits = clusters.map((one) => [
      one.name,
      limitsOf(one)?.max_stream_duration,
      one.circuit_breakers !== undefined,
    ]);
    expect(limits).toEqual([
      ["fraud-primary", undefined, false],
      ["fraud-next", "2.5s", true],
      ["outbound|80||grpc", "2.5s", true],
      ["fraud-control", "2.5s", true],
      ["rest-next", "15s", true],
      ["shadowgraph_nats", undefined, true],
    ]);
  });

  test("gives each call to NATS a connection of its own, which NATS is not just closing", () => {
    const { clusters } = (renderEnvoy(config(RICH)).plain as Bootstrap).static_resources;
    const nats = clusters.find(({ name }) => name === "shadowgraph_nats");
    expect(limitsOf(nats)?.max_requests_per_connection).toBe(1);
  });

  test("gives both roles the same configuration, one VM, and fail_open", () => {
    const parsed = config(RICH, SECRETS);
    const [tagger, router] = managerOf(renderEnvoy(parsed).plain as Bootstrap).http_filters;
    const upstream = router?.typed_config["upstream_http_filters"];
    const [observer, codec] = upstream as Manager["http_filters"];
    expect(codec?.name).toBe("envoy.filters.http.upstream_codec");
    for (const [filter, role] of [
      [tagger, "tagger"],
      [observer, "observer"],
    ] as const) {
      const plugin = filter?.typed_config["config"] as Record<string, unknown>;
      expect(plugin["fail_open"]).toBe(true);
      expect(plugin["vm_config"]).toEqual({
        vm_id: "shadowgraph",
        runtime: "envoy.wasm.runtime.v8",
        code: { local: { filename: join(dir.path, "filter.wasm") } },
      });
      const { value } = plugin["configuration"] as { value: string };
      expect(JSON.parse(value)).toEqual(filterConfig(parsed, role));
    }
    const { role: _, ...one } = filterConfig(parsed, "tagger");
    const { role: __, ...other } = filterConfig(parsed, "observer");
    expect(one).toEqual(other);
  });

  test("has a shadow that two experiments share once", async () => {
    const text = `experiments:
  - name: a
    match: { pathPrefix: /a }
    primary: { cluster: p, address: 127.0.0.1:1 }
    shadows: [ { name: s, cluster: s, address: 127.0.0.1:2 } ]
  - name: b
    match: { pathPrefix: /b }
    primary: { cluster: p, address: 127.0.0.1:1 }
    shadows: [ { name: s, cluster: s, address: 127.0.0.1:2 } ]
envoy: { wasm: filter.wasm }
`;
    const { yaml, plain } = renderEnvoy(config(text));
    const { clusters } = (plain as Bootstrap).static_resources;
    expect(clusters.map(({ name }) => name)).toEqual(["p", "s", "shadowgraph_nats"]);
    expect(await validate(yaml, "shared")).toMatch(/configuration '.*' OK/);
  }, 60_000);

  test("without an address for a leg is refused, and the leg is named", () => {
    const text = RICH.replace(", address: 127.0.0.1:9003", "").replace(
      ", address: localhost:9002",
      "",
    );
    expect(() => renderEnvoy(config(text))).toThrow(
      "needs an address for fraud's shadow next, fraud's control; add it, or render the fragments for your own Envoy with --fragments",
    );
    expect(() => renderFragments(config(text))).not.toThrow();
  });
});

describe("the filter's configuration", () => {
  test("is what the filter's reader expects, key for key", () => {
    const parsed = config(RICH, SECRETS);
    expect(filterConfig(parsed, "observer")).toEqual({
      role: "observer",
      experiments: [
        {
          name: "fraud",
          run: parsed.experiments[0]?.run,
          match: {
            hosts: ["fraud.example", "score.example"],
            pathPrefix: "/v1/",
            methods: ["GET", "POST"],
            header: { name: "x-canary", value: `it's "1"` },
          },
          sampleFraction: 0.5,
          requestBytesMax: 1_048_576,
          shadowTimeoutMs: 2500,
          partitions: 16,
          legs: {
            "fraud-primary": "primary",
            "fraud-next": "next",
            "outbound|80||grpc": "grpc",
            "fraud-control": "control",
          },
          segments: ["x-country"],
        },
        {
          name: "rest",
          run: parsed.experiments[1]?.run,
          match: { header: { name: "x-any" } },
          sampleFraction: 1,
          requestBytesMax: 1_048_576,
          shadowTimeoutMs: 15_000,
          partitions: 16,
          legs: { "fraud-primary": "primary", "rest-next": "next" },
          segments: [],
        },
      ],
      nats: {
        cluster: "shadowgraph_nats",
        user: "filter",
        password: 'p"\\ä: {}',
        token: "",
        timeoutMs: 1000,
      },
      tickMs: 200,
      ledgerIntervalMs: 5000,
      outboxBytes: 4_194_304,
    });
  });
});

describe("fragments", () => {
  test("put where they say they belong make a configuration that the real Envoy accepts", async () => {
    const parsed = config(RICH, SECRETS);
    const { yaml, plain } = renderFragments(parsed);
    expect(parse(yaml)).toEqual(plain);
    const parts = plain as {
      early_header_mutation_extensions: unknown;
      http_filters: unknown[];
      upstream_http_filters: unknown[];
      routes: { name: string }[];
      mirrored_clusters: { name: string }[];
      clusters: unknown[];
      stats_config: unknown;
    };
    const target = (name: string) => ({
      name,
      type: "STATIC",
      load_assignment: {
        cluster_name: name,
        endpoints: [
          {
            lb_endpoints: [
              {
                endpoint: {
                  address: { socket_address: { address: "127.0.0.1", port_value: 9 } },
                },
              },
            ],
          },
        ],
      },
    });
    const type = "type.googleapis.com/envoy.extensions.filters";
    const existing = {
      stats_config: parts.stats_config,
      static_resources: {
        listeners: [
          {
            name: "own",
            address: { socket_address: { address: "127.0.0.1", port_value: 10_000 } },
            filter_chains: [
              {
                filters: [
                  {
                    name: "hcm",
                    typed_config: {
                      "@type": `${type}.network.http_connection_manager.v3.HttpConnectionManager`,
                      stat_prefix: "own",
                      early_header_mutation_extensions: parts.early_header_mutation_extensions,
                      route_config: {
                        virtual_hosts: [
                          {
                            name: "own",
                            domains: ["*"],
                            routes: [
                              ...parts.routes,
                              { match: { prefix: "/" }, route: { cluster: "fraud-primary" } },
                            ],
                          },
                        ],
                      },
                      http_filters: [
                        ...parts.http_filters,
                        {
                          name: "router",
                          typed_config: {
                            "@type": `${type}.http.router.v3.Router`,
                            upstream_http_filters: parts.upstream_http_filters,
                          },
                        },
                      ],
                    },
                  },
                ],
              },
            ],
          },
        ],
        clusters: [
          target("fraud-primary"),
          ...parts.mirrored_clusters.map((one) => ({ ...target(one.name), ...one })),
          ...parts.clusters,
        ],
      },
    };
    expect(await validate(JSON.stringify(existing), "fragments")).toMatch(/configuration '.*' OK/);
  }, 60_000);
});

describe("a client that forges our headers", () => {
  // Dead is the worst case: fail_open takes a crashed filter out of the chain, and nothing of ours runs any more.
  test("reaches the primary only, even when the filter is dead", async () => {
    const primary = await startBackend();
    const shadow = await startBackend();
    const [listener, admin] = await freePorts(2);
    const text = `experiments:
  - name: fraud
    primary: { cluster: p, address: "${primary.address}" }
    shadows: [ { name: s, cluster: s, address: "${shadow.address}" } ]
envoy: { wasm: filter.wasm, listener: "127.0.0.1:${listener}", admin: "127.0.0.1:${admin}" }
`;
    const { plain } = renderEnvoy(config(text));
    const manager = managerOf(plain as Bootstrap);
    manager.http_filters.shift();
    delete manager.http_filters[0]?.typed_config["upstream_http_filters"];
    const forge = async () => {
      const response = await fetch(`http://127.0.0.1:${listener}/`, {
        headers: {
          "x-shadow-sampled": "fraud",
          "X-Shadow-Pair": "1.fraud.x.y",
          "x-shadow-correlation-id": "x",
          "x-shadow-side": "shadow",
        },
      });
      return response.text();
    };
    const start = () =>
      startEnvoy({ config: JSON.stringify(plain), adminPort: admin ?? 0, concurrency: 1 });
    let envoy = await start();
    try {
      expect(await forge()).toBe("ok");
      const [received] = primary.requests;
      expect(received?.rawHeaders.filter(([name]) => /^x-shadow/i.test(name))).toEqual([]);
      // The mirror itself works in this Envoy: without the early removal the same request opens it.
      await envoy.stop();
      expect(shadow.count()).toBe(0);
      delete manager.early_header_mutation_extensions;
      envoy = await start();
      await forge();
      await envoy.stop();
      expect(shadow.count()).toBe(1);
    } finally {
      await envoy.stop();
      await Promise.all([primary.stop(), shadow.stop()]);
    }
  }, 60_000);
});
