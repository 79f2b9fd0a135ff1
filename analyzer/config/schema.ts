import Type from "typebox";
import {
  LEG_CHARS_MAX,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  SEGMENTS_MAX,
} from "../../wire/format.ts";

/**
 * The schema of shadowgraph.yaml. Every key has its unit in its name, its default and range beside it, and
 * unknown keys are refused everywhere. `expected` is what a person reads when a value is wrong.
 */

const strict = { additionalProperties: false } as const;

function integer(standard: number, minimum: number, maximum: number) {
  return Type.Integer({
    default: standard,
    minimum,
    maximum,
    expected: `a whole number from ${minimum} to ${maximum}`,
  });
}

function text(pattern: string, expected: string) {
  return Type.String({ pattern, expected });
}

/** An object whose own keys have defaults appears even when the file leaves it out. */
function section<P extends Type.TProperties>(properties: P) {
  return Type.Object(properties, { ...strict, default: {}, expected: "a map of keys" });
}

/** `host:port`, `[::1]:port`. */
const Address = () =>
  text(
    "^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?):[0-9]{1,5}$",
    "an address like 127.0.0.1:9001",
  );

/** As Envoy names it; Istio's `outbound|80||host` too. */
const ClusterName = () =>
  text("^[!-~]{1,255}$", "an Envoy cluster's name, 1 to 255 characters without spaces");

const HeaderName = () =>
  text("^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$", "a header name in lower case, at most 64 characters");

const Leg = {
  /** Envoy's name of the cluster; the observer recognises the leg by it. */
  cluster: ClusterName(),
  /** Where the cluster's server listens; needed only for a complete `render envoy`. Not part of the run. */
  address: Type.Optional(Address()),
  /** Speaks HTTP/2 without TLS (gRPC) instead of HTTP/1.1. Only for a complete `render envoy`. Default false. Not part of the run. */
  http2: Type.Optional(Type.Boolean({ expected: "true or false" })),
};

const Experiment = Type.Object(
  {
    /** In subjects, tables and addresses of pages. */
    name: text(
      "^[a-z0-9][a-z0-9-]{0,62}$",
      "1 to 63 lower-case letters, digits and hyphens, not starting with a hyphen",
    ),
    /** Which requests belong to the experiment: all parts that are given must hold. Default: every request. */
    match: section({
      /** Exact host names, port ignored. Default: any host. */
      hosts: Type.Optional(
        Type.Array(
          text(
            "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
            "an exact host name in lower case, without a port",
          ),
          { minItems: 1, maxItems: 32, expected: "a list of 1 to 32 host names" },
        ),
      ),
      /** Default: any path. */
      pathPrefix: Type.Optional(
        text(
          '^/[!-"$->@-~]{0,255}$',
          "a path starting with /, without query, at most 256 characters",
        ),
      ),
      /** Default: any method but CONNECT, which Envoy never mirrors. */
      methods: Type.Optional(
        Type.Array(text("^[A-Z]{1,16}$", "a method in upper case"), {
          minItems: 1,
          maxItems: 16,
          expected: "a list of 1 to 16 methods",
        }),
      ),
      /** A request header that must be there; with `value`, exactly so. */
      header: Type.Optional(
        Type.Object(
          {
            name: HeaderName(),
            value: Type.Optional(
              text("^[ -~]{1,256}$", "1 to 256 printable ASCII characters; put numbers in quotes"),
            ),
          },
          { ...strict, expected: "a map with name and, if wanted, value" },
        ),
      ),
    }),
    /** Share of the matching requests that are mirrored. Default 1, range 0 to 1. */
    sampleFraction: Type.Number({
      default: 1,
      minimum: 0,
      maximum: 1,
      expected: "a number from 0 to 1",
    }),
    /**
     * Requests with a longer body are not sampled. Default 1 MiB, range 0 to 4 MiB: a shadow that stops reading
     * stalls the user's upload once about 5 MB are in flight, so no setting may come near that.
     */
    requestBytesMax: integer(1_048_576, 0, 4_194_304),
    /** The deployment that the user hears. */
    primary: Type.Object(Leg, { ...strict, expected: "a map with cluster and address" }),
    /** The deployments under test; 1 to 6. */
    shadows: Type.Array(
      Type.Object(
        {
          /** In tables, on the page, and what the shadow's server reads in x-shadow-side. */
          name: text(
            `^[a-z0-9][a-z0-9-]{0,${LEG_CHARS_MAX - 1}}$`,
            `1 to ${LEG_CHARS_MAX} lower-case letters, digits and hyphens, not starting with a hyphen`,
          ),
          ...Leg,
          /** A free label of what is deployed, for example a version or a commit. A new one starts a new run. */
          build: Type.Optional(
            text("^[ -~]{1,128}$", "1 to 128 printable ASCII characters; put numbers in quotes"),
          ),
        },
        { ...strict, expected: "a map with name, cluster and address" },
      ),
      { minItems: 1, maxItems: 6, expected: "a list of 1 to 6 shadows" },
    ),
    /** The primary's version on a mirrored copy: measures the noise. Default: none. */
    control: Type.Optional(
      Type.Object(Leg, { ...strict, expected: "a map with cluster and address" }),
    ),
    /** Request headers kept in clear, for breaking results down; at most 8. Default: none. */
    segments: Type.Array(HeaderName(), {
      default: [],
      maxItems: SEGMENTS_MAX,
      expected: `a list of at most ${SEGMENTS_MAX} header names`,
    }),
    /** Rule "latency": a pair diverges when both hold. */
    latency: section({
      /** Total time of the shadow divided by the primary's. Default 3, range 1 to 1000. */
      ratioMax: Type.Number({
        default: 3,
        minimum: 1,
        maximum: 1000,
        expected: "a number from 1 to 1000",
      }),
      /** µs by which the shadow must be slower as well: twice nothing is nothing. Default 20 ms, range 0 to 1 h. */
      differenceUsMin: integer(20_000, 0, 3_600_000_000),
    }),
    /** max_stream_duration of the mirrored clusters: the only limit that frees a user's upload from a shadow that stopped reading. Default 15 s, range 10 ms to 10 min. */
    shadowTimeoutMs: integer(15_000, 10, 600_000),
    /** Mirrored requests in flight to each mirrored cluster, per Envoy; more are refused, counted and become orphans. Default 256, range 1 to 65536. */
    shadowRequestsMax: integer(256, 1, 65_536),
  },
  { ...strict, expected: "a map of keys" },
);

export const FileSchema = Type.Object(
  {
    /** 1 to 16. A request belongs to the first experiment that matches. */
    experiments: Type.Array(Experiment, {
      minItems: 1,
      maxItems: 16,
      expected: "a list of 1 to 16 experiments",
    }),
    nats: section({
      /** Tried in turn. Default nats://127.0.0.1:4222. NATS_URL (separated by commas) wins. */
      servers: Type.Array(
        text(
          "^(nats|tls)://[^\\s/@]+$",
          "a server like nats://127.0.0.1:4222 (no password: see NATS_URL)",
        ),
        {
          default: ["nats://127.0.0.1:4222"],
          minItems: 1,
          maxItems: 16,
          expected: "a list of 1 to 16 servers",
        },
      ),
      /** Default: none. The password comes from SHADOWGRAPH_NATS_PASSWORD, a token from SHADOWGRAPH_NATS_TOKEN. */
      user: Type.String({
        default: "",
        maxLength: 256,
        expected: "text of at most 256 characters",
      }),
      stream: section({
        /** Default SHADOWGRAPH. */
        name: Type.String({
          default: "SHADOWGRAPH",
          pattern: "^[A-Za-z0-9_-]{1,63}$",
          expected: "1 to 63 letters, digits, _ and -",
        }),
        /** How long NATS keeps what the filter sent. Default 1 day, range 1 min to 30 days. */
        maxAgeMs: integer(86_400_000, 60_000, 2_592_000_000),
        /** At the limit NATS drops the oldest. Default 1 GiB, range 1 MiB to 16 TiB. */
        maxBytes: integer(1_073_741_824, 1_048_576, 17_592_186_044_416),
        /** Default file. */
        storage: Type.Union([Type.Literal("file"), Type.Literal("memory")], {
          default: "file",
          expected: "file or memory",
        }),
        /** Default 1, range 1 to 5. */
        replicas: integer(1, 1, 5),
      }),
      /** Subjects that an experiment's batches are spread over. More than one analyzer needs more than one. Default 16. */
      partitions: integer(PARTITIONS_DEFAULT, 1, PARTITIONS_MAX),
    }),
    clickhouse: section({
      /** HTTP interface. Default http://127.0.0.1:8123. CLICKHOUSE_URL wins. */
      url: Type.String({
        default: "http://127.0.0.1:8123",
        pattern: "^https?://[^\\s/@?#]+(/[^\\s@?#]*)?$",
        expected: "an address like http://127.0.0.1:8123 (no password: see CLICKHOUSE_PASSWORD)",
      }),
      /** Created when missing. Default shadowgraph. */
      database: Type.String({
        default: "shadowgraph",
        pattern: "^[A-Za-z_][A-Za-z0-9_]{0,62}$",
        expected: "a letter, then at most 62 letters, digits and _",
      }),
      /** Default default. The password comes from CLICKHOUSE_PASSWORD. */
      user: Type.String({
        default: "default",
        maxLength: 256,
        expected: "text of at most 256 characters",
      }),
    }),
    analyzer: section({
      /** Stream time that a leg waits for its partner. Default 30 s, range 100 ms to 1 h. Longer than shadowTimeoutMs. */
      joinWindowMs: integer(30_000, 100, 3_600_000),
      /** Observations waiting for a partner, per lane. At 400 bytes each the default holds 40 MB. Default 100,000, range 1,000 to 10,000,000. */
      pendingCountMax: integer(100_000, 1_000, 10_000_000),
      /** Rows wait at most this long before they are written. Default 1 s, range 10 ms to 1 min. */
      flushIntervalMs: integer(1_000, 10, 60_000),
      /** Rows written at once. Default 10,000, range 1 to 1,000,000. */
      flushRowsMax: integer(10_000, 1, 1_000_000),
      /** Consumers that the partitions are divided among; each is owned by one analyzer at a time. Default 1, at most the partitions. */
      lanes: integer(1, 1, PARTITIONS_MAX),
      /** An owner that is silent for so long loses its lane. Default 10 s, range 1 s to 10 min. */
      leaseMs: integer(10_000, 1_000, 600_000),
    }),
    http: section({
      /** Address of the API and the page, which have no login of their own. Default 127.0.0.1. */
      host: Type.String({
        default: "127.0.0.1",
        pattern: "^[A-Za-z0-9:._-]{1,255}$",
        expected: "a host name or address",
      }),
      /** Default 8080; 0 takes a free one. */
      port: integer(8080, 0, 65_535),
    }),
    filter: section({
      /** How often a worker sends what it has. Default 200 ms, range 10 ms to 10 s. */
      tickMs: integer(200, 10, 10_000),
      /** Memory of the outbox, per Envoy worker. Default 4 MiB, range 256 KiB to 16 MiB (the filter's memory is bounded). */
      outboxBytes: integer(4_194_304, 262_144, 16_777_216),
      /** How often a worker publishes its counters. Default 5 s, range 100 ms to 5 min. */
      ledgerIntervalMs: integer(5_000, 100, 300_000),
      /** How long a worker waits for NATS' answer. Default 1 s, range 50 ms to 30 s. */
      natsTimeoutMs: integer(1_000, 50, 30_000),
    }),
    /** For `shadowgraph render envoy` only. */
    envoy: section({
      /** Where Envoy listens. Default 127.0.0.1:10000. */
      listener: Type.String({ ...Address(), default: "127.0.0.1:10000" }),
      /** Envoy's admin page, which has no login. Default 127.0.0.1:9901. */
      admin: Type.String({ ...Address(), default: "127.0.0.1:9901" }),
      /** The filter. Relative to the configuration file. Default: build/shadowgraph.wasm of this installation. */
      wasm: Type.Optional(text("^[^\\0]{1,1024}$", "the path of a file")),
      /** NATS as Envoy reaches it. Default 127.0.0.1:4222. */
      nats: Type.String({ ...Address(), default: "127.0.0.1:4222" }),
    }),
    /** Days that ClickHouse keeps rows. */
    retention: section({
      /** Pairs, divergences, orphans. Default 14, range 1 to 3650. */
      pairsDays: integer(14, 1, 3650),
      /** Figures per minute. Default 90, range 1 to 3650. */
      rollupsDays: integer(90, 1, 3650),
    }),
  },
  { ...strict, expected: "a map of keys" },
);

export type File = Type.Static<typeof FileSchema>;
