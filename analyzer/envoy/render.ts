import { isIP } from "node:net";
import {
  HEADER_CORRELATION_ID,
  HEADER_PAIR,
  HEADER_SAMPLED,
  HEADER_SIDE,
  LEG_CONTROL,
} from "../../wire/format.ts";
import type { Config, ExperimentConfig } from "../config.ts";
import { AnalyzerError } from "../errors.ts";
import { Block, remark, type Tree, toPlain, toYaml } from "./commented-yaml.ts";
import { filterConfig, NATS_CLUSTER, type Role } from "./filter-config.ts";
import { statsTags } from "./stats-tags.ts";

/** Why each part is there stands beside it in the output, so that whoever runs that Envoy can judge it. */

const TYPE = "type.googleapis.com/";
const HCM = `${TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const ROUTER = `${TYPE}envoy.extensions.filters.http.router.v3.Router`;
const WASM = `${TYPE}envoy.extensions.filters.http.wasm.v3.Wasm`;
const CODEC = `${TYPE}envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec`;
const EARLY = `${TYPE}envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation`;
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const TCP_POOL = `${TYPE}envoy.extensions.upstreams.http.tcp.v3.TcpConnectionPoolProto`;
const STRING = `${TYPE}google.protobuf.StringValue`;

/** Only Shadowgraph sets these; a client's copies are removed before any route is chosen. */
const OUR_HEADERS = [HEADER_SAMPLED, HEADER_PAIR, HEADER_CORRELATION_ID, HEADER_SIDE];

/** One call is in flight per worker; the rest is room for the end of a configuration. */
const NATS_REQUESTS_MAX = 128;

export interface Rendered {
  /** What Envoy reads. */
  readonly yaml: string;
  /** The same without remarks. */
  readonly plain: unknown;
}

/**
 * A complete Envoy configuration.
 * @throws AnalyzerError CONFIG_INVALID when a leg has no address
 */
export function renderEnvoy(config: Config): Rendered {
  const missing = legsWithoutAddress(config);
  if (missing.length > 0) {
    throw new AnalyzerError(
      "CONFIG_INVALID",
      `a complete Envoy configuration needs an address for ${missing.join(", ")}; add it, or render the fragments for your own Envoy with --fragments`,
    );
  }
  const tree: Tree = {
    admin: remark("Statistics and switches, without a login: keep it on loopback.", {
      address: socketAddress(config.envoy.admin),
    }),
    stats_config: statsTags(),
    static_resources: {
      listeners: [listener(config)],
      clusters: [...serviceClusters(config), natsCluster(config)],
    },
  };
  return rendered(
    tree,
    `Envoy for ${names(config)}, written by \`shadowgraph render envoy\` from shadowgraph.yaml.
Change shadowgraph.yaml and render again instead of editing this file.${secretWarning(config)}

Check it: envoy --mode validate -c <this file>. Made for Envoy 1.40.`,
  );
}

/** The parts to put into an Envoy configuration that exists already. */
export function renderFragments(config: Config): Rendered {
  const tree: Tree = {
    early_header_mutation_extensions: remark(
      "1. Into the HttpConnectionManager of the listener that users reach.",
      earlyMutation(),
    ),
    http_filters: remark(
      "\n2. Into the same place's http_filters, before the router and before any filter that changes the request's body.",
      [taggerFilter(config)],
    ),
    upstream_http_filters: remark(
      "\n3. Into the typed_config of the router filter. If your clusters have http_filters of their own in HttpProtocolOptions, those replace the router's: put the observer there too.",
      upstreamFilters(config),
    ),
    routes: remark(
      `\n4. Above the route of each experiment: a copy of your own route (same timeout, retries, rewrites: the primary must be treated alike on both) that differs in the header to match, the header to remove and the mirrors.`,
      config.experiments.map((experiment) => mirroredRoute(experiment)),
    ),
    mirrored_clusters: remark(
      "\n5. Into each mirrored cluster, beside what it has already. Never into a primary's.",
      mirroredClusters(config).map(({ name, experiment }) => ({
        name,
        ...protection(experiment, undefined),
      })),
    ),
    clusters: remark("\n6. One more cluster.", [natsCluster(config)]),
    stats_config: remark("\n7. At the top of the file.", statsTags()),
  };
  return rendered(
    tree,
    `Shadowgraph's parts for an Envoy that exists already, for ${names(config)}.
This file is not a configuration by itself: each numbered part says where it belongs.${secretWarning(config)}`,
  );
}

function rendered(tree: Tree, headline: string): Rendered {
  return { yaml: toYaml(tree, headline), plain: toPlain(tree) };
}

function names(config: Config): string {
  const list = config.experiments.map((experiment) => experiment.name).join(", ");
  return `${config.experiments.length === 1 ? "experiment" : "experiments"} ${list}`;
}

function secretWarning(config: Config): string {
  return holdsSecret(config)
    ? "\nIt holds the NATS password or token: keep it as you keep other secrets."
    : "";
}

/** The output holds the NATS password or token, which came from the environment. */
export function holdsSecret(config: Config): boolean {
  return config.nats.password !== "" || config.nats.token !== "";
}

function legsWithoutAddress(config: Config): string[] {
  return config.experiments.flatMap((experiment) =>
    [
      { text: "primary", leg: experiment.primary },
      ...experiment.shadows.map((leg) => ({ text: `shadow ${leg.name}`, leg })),
      ...(experiment.control ? [{ text: LEG_CONTROL, leg: experiment.control }] : []),
    ]
      .filter(({ leg }) => leg.address === undefined)
      .map(({ text }) => `${experiment.name}'s ${text}`),
  );
}

function listener(config: Config): Tree {
  const anyHost = config.experiments.every((experiment) => experiment.match.hosts === undefined);
  return {
    name: "shadowgraph",
    address: socketAddress(config.envoy.listener),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": HCM,
              stat_prefix: "ingress",
              early_header_mutation_extensions: earlyMutation(),
              route_config: {
                name: "shadowgraph",
                ignore_port_in_host_matching: anyHost ? undefined : true,
                virtual_hosts: remark(
                  "include_request_attempt_count stays off: it would add a header that the primary's server does not get without Shadowgraph.",
                  virtualHosts(config),
                ),
              },
              http_filters: [taggerFilter(config), routerFilter(config)],
            },
          },
        ],
      },
    ],
  };
}

function earlyMutation(): Tree {
  return [
    remark(
      "Removes our headers from what clients send, before the first look at the routes. An HTTP filter would be too late: by then the route is chosen, and with the tagger gone (a crash with fail_open) a forged header would open the mirror.",
      {
        name: "envoy.http.early_header_mutation.header_mutation",
        typed_config: {
          "@type": EARLY,
          mutations: OUR_HEADERS.map((header) => ({ remove: header })),
        },
      },
    ),
  ];
}

function taggerFilter(config: Config): Tree {
  return remark(
    `Decides which requests are sampled and marks them with ${HEADER_SAMPLED}, which only the routes see.`,
    wasmFilter(config, "tagger"),
  );
}

function routerFilter(config: Config): Tree {
  return {
    name: "envoy.filters.http.router",
    typed_config: { "@type": ROUTER, upstream_http_filters: upstreamFilters(config) },
  };
}

function upstreamFilters(config: Config): Tree {
  return [
    remark(
      "Runs on the way to every cluster, the mirrored ones too, and sees the shadow's answer before Envoy discards it.",
      wasmFilter(config, "observer"),
    ),
    remark("Always the last one: it puts the request on the wire.", {
      name: "envoy.filters.http.upstream_codec",
      typed_config: { "@type": CODEC },
    }),
  ];
}

function wasmFilter(config: Config, role: Role): Tree {
  return {
    name: `shadowgraph_${role}`,
    typed_config: {
      "@type": WASM,
      config: {
        name: `shadowgraph_${role}`,
        root_id: role,
        fail_open: remark(
          "The only setting under which a crash of the filter costs no user's request. Envoy warns once that it is deprecated.",
          true,
        ),
        configuration: {
          "@type": STRING,
          value: new Block(`${JSON.stringify(filterConfig(config, role), null, 2)}\n`),
        },
        vm_config: {
          vm_id: remark(
            "The same for both roles: one memory, one outbox and one NATS connection per worker.",
            "shadowgraph",
          ),
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: config.envoy.wasm } },
        },
      },
    },
  };
}

/** Hosts that see the same experiments share a virtual host. Within one, the order of the file decides, as in the tagger. */
function virtualHosts(config: Config): Tree[] {
  const { experiments } = config;
  const hosts = new Set(experiments.flatMap((experiment) => experiment.match.hosts ?? []));
  const groups = new Map<string, { domains: string[]; experiments: ExperimentConfig[] }>();
  for (const host of [...hosts, "*"]) {
    const seen = experiments.filter(({ match }) => !match.hosts || match.hosts.includes(host));
    if (seen.length === 0) continue;
    const key = seen.map((experiment) => experiment.name).join(" ");
    const group = groups.get(key) ?? { domains: [], experiments: seen };
    group.domains.push(host);
    groups.set(key, group);
  }
  return [...groups.values()].map((group, index) => ({
    name: `shadowgraph_${index}`,
    domains: group.domains,
    routes: [...group.experiments.map(mirroredRoute), ...plainRoutes(group.experiments)],
  }));
}

function mirroredRoute(experiment: ExperimentConfig): Tree {
  const mirrors = [...experiment.shadows, ...(experiment.control ? [experiment.control] : [])];
  return remark(
    `Sampled requests of ${experiment.name}: to the primary as always, and a copy to each mirror.`,
    {
      name: `${experiment.name}_sampled`,
      match: {
        prefix: "/",
        headers: [{ name: HEADER_SAMPLED, string_match: { exact: experiment.name } }],
      },
      request_headers_to_remove: remark("Nobody behind Envoy sees it.", [HEADER_SAMPLED]),
      route: {
        ...primaryAction(experiment),
        request_mirror_policies: remark(
          "Without the second key the mirrored server would read the host as <host>-shadow.",
          mirrors.map((mirror) => ({
            cluster: mirror.cluster,
            disable_shadow_host_suffix_append: true,
          })),
        ),
      },
    },
  );
}

/**
 * Where the experiments' requests go when they are not sampled. First exactly what each experiment matches, then all of its
 * hosts and paths: a method or header that is left out of the experiment still has to reach the primary.
 */
function plainRoutes(experiments: readonly ExperimentConfig[]): Tree[] {
  const routes = new Map<string, Tree>();
  const matches = [
    ...experiments.map((experiment) => ({ experiment, match: exactMatch(experiment) })),
    ...experiments.map((experiment) => ({ experiment, match: wideMatch(experiment) })),
  ];
  for (const { experiment, match } of matches) {
    const key = JSON.stringify(match);
    // An earlier route with the same match takes every request of it.
    if (!routes.has(key)) routes.set(key, { match, route: primaryAction(experiment) });
  }
  return [...routes.values()];
}

function wideMatch({ match }: ExperimentConfig) {
  return { prefix: match.pathPrefix ?? "/" };
}

function exactMatch(experiment: ExperimentConfig): { readonly [key: string]: Tree } {
  const { methods, header } = experiment.match;
  const headers: Tree[] = [];
  if (methods) {
    headers.push({ name: ":method", string_match: { safe_regex: { regex: methods.join("|") } } });
  }
  if (header) {
    headers.push(
      header.value === undefined
        ? { name: header.name, present_match: true }
        : { name: header.name, string_match: { exact: header.value } },
    );
  }
  return headers.length > 0 ? { ...wideMatch(experiment), headers } : { ...wideMatch(experiment) };
}

/** The same on both routes: being sampled must not change how the primary is treated. */
function primaryAction(experiment: ExperimentConfig) {
  return { cluster: experiment.primary.cluster, timeout: "15s" };
}

function serviceClusters(config: Config): Tree[] {
  const clusters = new Map<string, Tree>();
  for (const experiment of config.experiments) {
    const { cluster: name, address, http2 } = experiment.primary;
    if (!clusters.has(name)) {
      clusters.set(
        name,
        remark(`The primary of ${experiment.name}.`, {
          ...cluster(name, address ?? "", "1s"),
          typed_extension_protocol_options: httpOptions(http2, undefined),
        }),
      );
    }
  }
  for (const { name, leg, experiment, address, http2 } of mirroredClusters(config)) {
    clusters.set(
      name,
      remark(`${leg} of ${experiment.name}: its answers go to nobody but the observer.`, {
        ...cluster(name, address ?? "", "1s"),
        ...protection(experiment, http2),
      }),
    );
  }
  return [...clusters.values()];
}

interface MirroredCluster {
  readonly name: string;
  readonly leg: string;
  readonly experiment: ExperimentConfig;
  readonly address: string | undefined;
  readonly http2: boolean | undefined;
}

/** Each once, although several experiments may share one. */
function mirroredClusters(config: Config): MirroredCluster[] {
  const clusters = new Map<string, MirroredCluster>();
  for (const experiment of config.experiments) {
    const legs = [
      ...experiment.shadows.map((shadow) => ({ ...shadow, leg: `Shadow ${shadow.name}` })),
      ...(experiment.control ? [{ ...experiment.control, leg: "The control" }] : []),
    ];
    for (const { cluster: name, address, http2, leg } of legs) {
      if (!clusters.has(name)) clusters.set(name, { name, leg, experiment, address, http2 });
    }
  }
  return [...clusters.values()];
}

function cluster(name: string, address: string, connectTimeout: string) {
  const { host } = hostAndPort(address);
  return {
    name,
    type: isIP(host) === 0 ? "STRICT_DNS" : "STATIC",
    connect_timeout: connectTimeout,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(address) } }] }],
    },
  };
}

/** What keeps a sick shadow from a user's request. */
function protection(experiment: ExperimentConfig, http2: boolean | undefined) {
  const limit = experiment.shadowRequestsMax;
  return {
    circuit_breakers: remark(
      "Bounds what a shadow that never answers costs Envoy. Beyond it copies are refused: counted in upstream_rq_pending_overflow or upstream_rq_active_overflow, and shown as orphans.",
      {
        thresholds: [{ max_connections: limit, max_pending_requests: limit, max_requests: limit }],
      },
    ),
    typed_extension_protocol_options: httpOptions(http2, experiment.shadowTimeoutMs),
  };
}

function httpOptions(http2: boolean | undefined, durationMsMax: number | undefined): Tree {
  return {
    [HTTP_OPTIONS]: {
      "@type": `${TYPE}${HTTP_OPTIONS}`,
      common_http_protocol_options:
        durationMsMax === undefined
          ? undefined
          : {
              max_stream_duration: remark(
                "A shadow that stops reading stalls the user's upload after some 5 MB, and no route timeout ends that: this does.",
                seconds(durationMsMax),
              ),
            },
      explicit_http_config: http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} },
    },
  };
}

function natsCluster(config: Config): Tree {
  return remark(
    "NATS. The body of one HTTP call of the filter is what goes over the TCP connection. For TLS add a transport_socket; NATS then needs `handshake_first: auto`, which serves the analyzer too.",
    {
      ...cluster(NATS_CLUSTER, config.envoy.nats, seconds(config.filter.natsTimeoutMs)),
      upstream_config: {
        name: "envoy.filters.connection_pools.http.tcp",
        typed_config: { "@type": TCP_POOL },
      },
      typed_extension_protocol_options: {
        [HTTP_OPTIONS]: {
          "@type": `${TYPE}${HTTP_OPTIONS}`,
          common_http_protocol_options: {
            max_requests_per_connection: remark(
              "A call that starts while the answer of the one before is read would otherwise get its connection, which NATS is closing, and fail.",
              1,
            ),
          },
          explicit_http_config: { http_protocol_options: {} },
        },
      },
      circuit_breakers: remark("One call is in flight per worker.", {
        thresholds: [
          {
            max_connections: NATS_REQUESTS_MAX,
            max_pending_requests: NATS_REQUESTS_MAX,
            max_requests: NATS_REQUESTS_MAX,
          },
        ],
      }),
    },
  );
}

/** Protobuf's way to write a duration. */
function seconds(ms: number): string {
  return `${ms / 1000}s`;
}

function socketAddress(address: string): Tree {
  const { host, port } = hostAndPort(address);
  return { socket_address: { address: host, port_value: port } };
}

/** `[::1]:80` is host `::1`, port 80. */
function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(address.slice(colon + 1)) };
}
