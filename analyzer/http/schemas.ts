import { type Static, type TSchema, Type } from "typebox";

// The API's shapes: what fastify checks and writes, what /openapi.json shows and what the page reads.
// Names ending in `At` are ISO 8601 in UTC with six decimals; names ending in `Us` are microseconds; rates are 0..1.

const Count = (description: string) => Type.Integer({ minimum: 0, description });
const Instant = (description: string) =>
  Type.String({ description, examples: ["2026-01-02T03:04:05.678901Z"] });
const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const CountByName = (description: string) =>
  Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { description });
const Rate = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

// ---- problems -----------------------------------------------------------------------------------------------------

export const Problem = Type.Object(
  {
    type: Type.String({ description: "about:blank, or a path of the documentation" }),
    title: Type.String({ description: "what the code means, in one line" }),
    status: Type.Integer(),
    code: Type.String({
      description: "stable name of the error; docs/failure-modes.md has an entry for it",
    }),
    detail: Type.String({ description: "what came and what was expected" }),
    instance: Type.Optional(Type.String({ description: "the path that was asked for" })),
    parameter: Type.Optional(Type.String({ description: "the parameter that is wrong" })),
    known: Type.Optional(
      Type.Array(Type.String(), { description: "names that would have been right" }),
    ),
  },
  { $id: "Problem", description: "RFC 9457 problem details" },
);
export type Problem = Static<typeof Problem>;

// ---- experiments and runs -------------------------------------------------------------------------------------------

const ShadowName = Type.Object({
  name: Type.String(),
  build: Nullable(Type.String({ description: "free label of the build under test" })),
});

const experimentFields = {
  name: Type.String(),
  primary: Type.String({ description: "the primary's Envoy cluster" }),
  shadows: Type.Array(ShadowName),
  control: Type.Boolean({ description: "whether a control measures the noise floor" }),
  sampleFraction: Rate("share of matching requests that are sampled"),
  run: Nullable(Type.String({ description: "newest run; null: nothing was stored yet" })),
  runs: Count("runs that have rows"),
  pairs: Count("pairs of the newest run, all shadows"),
  divergentPairs: Count("of them, pairs with at least one divergence"),
  orphans: Count("legs without a partner in the newest run"),
  lastPairAt: Nullable(Instant("when the newest pair was joined")),
};

export const ExperimentSummary = Type.Object(experimentFields);
export type ExperimentSummary = Static<typeof ExperimentSummary>;

export const ExperimentsResponse = Type.Object({ experiments: Type.Array(ExperimentSummary) });
export type ExperimentsResponse = Static<typeof ExperimentsResponse>;

export const ExperimentResponse = Type.Object({
  ...experimentFields,
  config: Type.Object(
    {
      match: Type.Object({
        hosts: Type.Array(Type.String()),
        pathPrefix: Nullable(Type.String()),
        methods: Type.Array(Type.String()),
        header: Nullable(Type.String({ description: "name, or name: value" })),
      }),
      requestBytesMax: Type.Integer(),
      segments: Type.Array(Type.String()),
      latency: Type.Object({ ratioMax: Type.Number(), differenceUsMin: Type.Integer() }),
      shadowTimeoutMs: Type.Integer(),
      partitions: Type.Integer(),
      joinWindowMs: Type.Integer(),
    },
    { description: "the configuration that this analyzer runs with" },
  ),
});
export type ExperimentResponse = Static<typeof ExperimentResponse>;

export const Run = Type.Object({
  run: Type.String(),
  firstPairAt: Nullable(Instant("when the first pair was joined")),
  lastPairAt: Nullable(Instant("when the newest pair was joined")),
  pairs: Count("pairs, all shadows"),
  divergentPairs: Count("of them, divergent"),
  build: Nullable(
    Type.String({ description: "label of the first shadow's build, when this analyzer knew it" }),
  ),
  current: Type.Boolean({ description: "the run of the present configuration" }),
});
export type Run = Static<typeof Run>;

export const RunsResponse = Type.Object({ experiment: Type.String(), runs: Type.Array(Run) });
export type RunsResponse = Static<typeof RunsResponse>;

// ---- summary --------------------------------------------------------------------------------------------------------

export const DurationQuantiles = Type.Object(
  {
    p50: Nullable(Type.Number()),
    p90: Nullable(Type.Number()),
    p95: Nullable(Type.Number()),
    p99: Nullable(Type.Number()),
  },
  { description: "µs, within 1 % (DDSketch); null without data" },
);
export type DurationQuantiles = Static<typeof DurationQuantiles>;

export const RatioQuantiles = Type.Object(
  {
    p50: Nullable(Type.Number()),
    p90: Nullable(Type.Number()),
    p95: Nullable(Type.Number()),
    p99: Nullable(Type.Number()),
    n: Count("pairs where both durations are known"),
  },
  { description: "the leg's total duration divided by the primary's, pair by pair, within 1 %" },
);
export type RatioQuantiles = Static<typeof RatioQuantiles>;

export const RuleCount = Type.Object({
  rule: Type.String(),
  grade: Type.String({ description: "high, medium or low: the highest that was found" }),
  pairs: Count("pairs in which the rule found something"),
  rate: Rate("of the pairs"),
  noisePairs: Nullable(
    Count("pairs in which control and primary differ by this rule; null without a control"),
  ),
  noiseRate: Nullable(Rate("of the pairs that have a control")),
});
export type RuleCount = Static<typeof RuleCount>;

export const StatusCount = Type.Object({
  primary: Type.Integer({ description: "0: no answer" }),
  shadow: Type.Integer({ description: "0: no answer" }),
  pairs: Count("pairs with these statuses"),
});
export type StatusCount = Static<typeof StatusCount>;

const figures = {
  pairs: Count("pairs"),
  divergentPairs: Count("pairs with at least one divergence"),
  divergenceRate: Nullable(Rate("divergentPairs / pairs; null without pairs")),
  bytesEqualPairs: Count("pairs whose response bodies are equal byte for byte"),
  controlPairs: Count("pairs that have a control"),
  rules: Type.Array(RuleCount),
  latencyRatio: RatioQuantiles,
  controlLatencyRatio: Nullable(RatioQuantiles),
  primaryUs: DurationQuantiles,
  shadowUs: DurationQuantiles,
  controlUs: Nullable(DurationQuantiles),
};

export const RouteSummary = Type.Object({
  route: Type.String(),
  method: Type.String(),
  ...figures,
  statuses: Type.Array(StatusCount),
});
export type RouteSummary = Static<typeof RouteSummary>;

export const SummaryResponse = Type.Object({
  experiment: Type.String(),
  run: Nullable(Type.String({ description: "null: nothing was stored yet" })),
  shadow: Type.String(),
  from: Nullable(Instant("begin of the time range, when one was asked for")),
  to: Nullable(Instant("end of the time range, exclusive")),
  ...figures,
  orphans: CountByName("legs without a partner, by reason"),
  duplicates: Count("the same leg and attempt seen again"),
  statuses: Type.Array(StatusCount),
  routes: Type.Array(RouteSummary, { description: "most pairs first, at most 200" }),
  routesLeftOff: Count("routes beyond the first 200"),
  coverage: Type.Object({
    seen: Count("requests that matched, by the filter's ledgers (whole run)"),
    sampled: Count("of them, sampled"),
    sampledPerSeen: Nullable(Rate("sampled / seen")),
    paired: Count("pairs of this run and shadow (whole run)"),
    pairsPerSampled: Nullable(
      Type.Number({
        minimum: 0,
        description:
          "paired / sampled; a little above 1 is possible while the newest ledger is older than the newest pair",
      }),
    ),
  }),
  minutes: Type.Array(
    Type.Object({
      minute: Instant("begin of the bucket"),
      pairs: Count("pairs joined in it"),
      divergentPairs: Count("of them, divergent"),
    }),
    { description: "oldest first; buckets of stepMinutes, so that there are at most 360" },
  ),
  stepMinutes: Type.Integer({ minimum: 1, description: "width of a bucket" }),
  segments: Type.Array(
    Type.Object({
      name: Type.String(),
      value: Type.String(),
      pairs: Count("pairs with this value"),
      divergentPairs: Count("of them, divergent"),
    }),
    { description: "most pairs first, at most 20 values a name" },
  ),
});
export type SummaryResponse = Static<typeof SummaryResponse>;

// ---- accounting -----------------------------------------------------------------------------------------------------

export const LegAccount = Type.Object(
  {
    leg: Type.String(),
    requests: Count("requests observed on this leg"),
    attempts: Count("attempts; each makes one record"),
    running: Count("attempts that had not ended at the newest ledger"),
    endings: CountByName("ended attempts, by ending"),
    ended: Count("sum of the endings = published + dropped + waiting"),
    published: Count("records in batches that NATS took"),
    dropped: CountByName("records that the filter gave up, by reason"),
    waiting: Count("records that had ended and not left the filter at the newest ledger"),
    received: Count("attempts that are in a stored row"),
    absorbed: Count(
      "controls beside a primary without its shadow: they came and are in no row; 0 for other legs",
    ),
    onTheWay: Count("published, not yet in a row: in the stream or inside the join window"),
    ahead: Count("in a row already, not yet in the worker's newest ledger"),
    lost: Count("published, and the window has closed without a row"),
  },
  { description: "published + ahead = received + absorbed + onTheWay + lost" },
);
export type LegAccount = Static<typeof LegAccount>;

export const FLOW_NAMES = [
  "paired",
  "shadow-missing",
  "late",
  "evicted",
  "unreached",
  "running",
  "dropped",
  "lost",
  "under-way",
] as const;

export const FlowItem = Type.Object({
  name: Type.String({ description: `one of ${FLOW_NAMES.join(", ")}` }),
  requests: Count("requests that went this way"),
  sentence: Type.String({ description: "what it means, in plain words" }),
});
export type FlowItem = Static<typeof FlowItem>;

export const WorkerAccount = Type.Object({
  worker: Type.String(),
  lastClockAt: Nullable(
    Instant("the worker's clock at its newest ledger; null: it never sent one"),
  ),
  final: Type.Boolean({ description: "it said goodbye" }),
  state: Type.String({
    description:
      "live, closed (said goodbye), silent (no ledger for a minute and no goodbye), unknown (rows without any ledger)",
  }),
});
export type WorkerAccount = Static<typeof WorkerAccount>;

export const AccountingResponse = Type.Object({
  experiment: Type.String(),
  run: Nullable(Type.String()),
  shadow: Type.String({ description: "joined and flow are about this one" }),
  ledgerAt: Nullable(Instant("clock of the newest ledger")),
  settledAt: Nullable(
    Instant(
      "every window that began before has closed and its rows are stored; null: not known here",
    ),
  ),
  requests: Type.Object({
    seen: Count("requests that matched the experiment"),
    sampled: Count("of them, sampled"),
    unreached: Count("sampled, but ended before the primary leg began"),
    unsampled: CountByName("not sampled, by reason"),
  }),
  legs: Type.Array(LegAccount),
  joined: Type.Object({
    paired: Count("requests seen on the primary and on this shadow"),
    orphans: CountByName(
      "legs without a partner, by reason; a late leg is a second row of its request",
    ),
    controlMissing: Count("requests whose control was not seen"),
    waiting: Count(
      "requests sampled and reached, without any row yet and neither dropped nor lost",
    ),
    duplicates: Count("the same leg and attempt seen again"),
  }),
  flow: Type.Array(FlowItem, {
    description: "where every sampled request went: the parts sum to sampled + ahead",
  }),
  ahead: Count("requests stored since the newest ledgers"),
  batches: Type.Object({
    sent: Count("messages that NATS took"),
    retried: Count("sendings repeated"),
    failed: Count("messages given up by the filter"),
    lost: Count("numbers of a worker that never came"),
  }),
  deadLetters: Count("messages or lines of this experiment that could not be read"),
  workers: Type.Array(WorkerAccount, { description: "newest first, at most 500" }),
  balanced: Type.Boolean({ description: "unexplained is 0" }),
  unexplained: Count("records for which no reason is known"),
  reasons: Type.Array(Type.String(), {
    description: "one plain sentence for each thing that is not as it should be",
  }),
  sentence: Type.String({ description: "the whole in plain words" }),
});
export type AccountingResponse = Static<typeof AccountingResponse>;

// ---- pairs ----------------------------------------------------------------------------------------------------------

export const Leg = Type.Object({
  leg: Type.String({ description: "primary, control or the shadow's name" }),
  status: Type.Integer({ description: "0: no answer" }),
  grpcStatus: Nullable(Type.Integer()),
  bytes: Count("response body"),
  firstByteUs: Nullable(Count("request headers to response headers")),
  totalUs: Count("request headers to the end of the leg"),
  ending: Type.String(),
  attempts: Type.Integer({ minimum: 1 }),
  contentType: Nullable(Type.String()),
  contentEncoding: Nullable(Type.String()),
  failure: Type.String({ description: "Envoy's reason; empty when there was none" }),
});
export type Leg = Static<typeof Leg>;

export const Finding = Type.Object({
  rule: Type.String(),
  grade: Type.String(),
  primary: Type.String(),
  shadow: Type.String(),
  sentence: Type.String(),
});
export type Finding = Static<typeof Finding>;

const pairFields = {
  correlationId: Type.String(),
  run: Type.String(),
  startedAt: Instant("the primary leg's request headers, the filter's clock"),
  joinedAt: Instant("stream time of the message that completed the pair"),
  method: Type.String(),
  route: Type.String(),
  requestBytes: Count("request body"),
  divergent: Type.Boolean(),
  bytesEqual: Type.Boolean({ description: "response bodies are equal byte for byte" }),
  latencyRatio: Nullable(Type.Number({ description: "shadow's total duration / primary's" })),
  controlLatencyRatio: Nullable(Type.Number()),
  primary: Leg,
  shadow: Leg,
  control: Nullable(Leg),
  divergences: Type.Array(Finding, { description: "shadow against primary" }),
  segments: Type.Record(Type.String(), Type.String()),
};

export const PairItem = Type.Object(pairFields);
export type PairItem = Static<typeof PairItem>;

export const PairsResponse = Type.Object({
  experiment: Type.String(),
  run: Nullable(Type.String()),
  shadow: Type.String(),
  pairs: Type.Array(PairItem, { description: "newest first" }),
  nextCursor: Nullable(
    Type.String({ description: "pass as cursor for the next page; null at the end" }),
  ),
});
export type PairsResponse = Static<typeof PairsResponse>;

export const PairResponse = Type.Object({
  experiment: Type.String(),
  ...pairFields,
  params: Type.Array(Type.String(), { description: "query parameter names" }),
  worker: Type.String(),
  requestContentType: Nullable(Type.String()),
  bytesEqualControl: Nullable(Type.Boolean()),
  requestBytesEqual: Type.Boolean({ description: "both legs were sent the same request body" }),
  noise: Nullable(
    Type.Array(Finding, {
      description: "control against primary (named shadow here); null without a control",
    }),
  ),
  chunks: Type.Object({
    primary: Count("response body chunks"),
    shadow: Count("response body chunks"),
    primaryGapUsMax: Count("longest time between two"),
    shadowGapUsMax: Count("longest time between two"),
  }),
  cut: Type.Array(Type.String(), {
    description: "fields that were cut at a limit, <leg>.<field>: never compared as equal",
  }),
});
export type PairResponse = Static<typeof PairResponse>;

// ---- orphans and dead letters ---------------------------------------------------------------------------------------

export const OrphanItem = Type.Object({
  correlationId: Type.String(),
  run: Type.String(),
  reason: Type.String({ description: "shadow-missing, primary-missing, late or evicted" }),
  leg: Type.String({ description: "the leg that was seen" }),
  missingLeg: Type.String(),
  batchLost: Type.Boolean({
    description: "a batch was lost meanwhile, the partner may have been in it",
  }),
  startedAt: Instant("the leg's request headers"),
  closedAt: Instant("stream time at which the window closed"),
  method: Type.String(),
  route: Type.String(),
  status: Type.Integer(),
  totalUs: Count("request headers to the end of the leg"),
  ending: Type.String(),
  failure: Type.String(),
  segments: Type.Record(Type.String(), Type.String()),
});
export type OrphanItem = Static<typeof OrphanItem>;

export const OrphansResponse = Type.Object({
  experiment: Type.String(),
  run: Nullable(Type.String()),
  orphans: Type.Array(OrphanItem, { description: "newest first" }),
  nextCursor: Nullable(Type.String()),
});
export type OrphansResponse = Static<typeof OrphansResponse>;

export const DeadLetterItem = Type.Object({
  sequence: Count("place of the message in the stream"),
  line: Count("line in the batch, from 1; 0 for the whole message"),
  subject: Type.String(),
  receivedAt: Instant("stream time of the message"),
  code: Type.String(),
  message: Type.String({ description: "what came and what was expected" }),
  excerpt: Type.String(),
});
export type DeadLetterItem = Static<typeof DeadLetterItem>;

export const DeadLettersResponse = Type.Object({
  deadLetters: Type.Array(DeadLetterItem, { description: "newest first" }),
  nextCursor: Nullable(Type.String()),
});
export type DeadLettersResponse = Static<typeof DeadLettersResponse>;

// ---- health ---------------------------------------------------------------------------------------------------------

const Component = Type.Object({
  state: Type.String({ description: "connected, connecting or away" }),
  since: Nullable(Instant("since when")),
  message: Type.String({ description: "what is wrong; empty when nothing is" }),
});

export const HealthResponse = Type.Object({
  status: Type.String({ description: "ok or degraded" }),
  nats: Component,
  clickhouse: Component,
  lanes: Type.Array(
    Type.Object({
      lane: Type.Integer(),
      owner: Type.Boolean({ description: "this analyzer reads the lane" }),
      sequence: Nullable(Type.Integer({ description: "last message whose outcomes are stored" })),
      lagMessages: Nullable(
        Type.Integer({ description: "messages in the stream that were not read yet" }),
      ),
      watermarkAt: Nullable(Instant("stream time up to which was read")),
      storedAt: Nullable(Instant("stream time up to which everything that was read is stored")),
    }),
  ),
  waiting: Count("observations that wait for a partner"),
});
export type HealthResponse = Static<typeof HealthResponse>;

export const LivenessResponse = Type.Object({ status: Type.String() });
export type LivenessResponse = Static<typeof LivenessResponse>;

// ---- parameters -----------------------------------------------------------------------------------------------------

export const ExperimentParams = Type.Object({
  experiment: Type.String({ minLength: 1, maxLength: 63, description: "name of an experiment" }),
});
export const PairParams = Type.Object({
  experiment: Type.String({ minLength: 1, maxLength: 63, description: "name of an experiment" }),
  correlationId: Type.String({
    minLength: 1,
    maxLength: 64,
    description: "correlation id, a UUID",
  }),
});

const run = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 63,
    description: "default: the newest run that has data",
  }),
);
const shadow = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 31,
    description: "default: the first shadow of the configuration",
  }),
);
const from = Type.Optional(
  Type.String({ maxLength: 40, description: "ISO 8601, inclusive, by the time of joining" }),
);
const to = Type.Optional(Type.String({ maxLength: 40, description: "ISO 8601, exclusive" }));
const route = Type.Optional(
  Type.String({ minLength: 1, maxLength: 256, description: "path template" }),
);
const method = Type.Optional(Type.String({ minLength: 1, maxLength: 16 }));
const limit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 500, default: 50, description: "rows a page" }),
);
const cursor = Type.Optional(
  Type.String({ minLength: 1, maxLength: 1024, description: "nextCursor of the page before" }),
);

const strict = { additionalProperties: false };

export const NoQuery = Type.Object({}, strict);
export const SummaryQuery = Type.Object({ run, shadow, from, to, route, method }, strict);
export type SummaryQuery = Static<typeof SummaryQuery>;
export const AccountingQuery = Type.Object({ run, shadow }, strict);
export const PairsQuery = Type.Object(
  {
    run,
    shadow,
    from,
    to,
    route,
    method,
    divergent: Type.Optional(
      Type.Boolean({ description: "only divergent pairs, or only equal ones" }),
    ),
    rule: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: "only pairs in which this rule found something",
      }),
    ),
    limit,
    cursor,
  },
  strict,
);
export const PairQuery = Type.Object({ shadow }, strict);
export const OrphansQuery = Type.Object(
  {
    run,
    from,
    to,
    route,
    method,
    leg: Type.Optional(
      Type.String({ minLength: 1, maxLength: 31, description: "the leg that was seen" }),
    ),
    reason: Type.Optional(
      Type.Enum(["shadow-missing", "primary-missing", "late", "evicted"], {
        description: "why it has no partner",
      }),
    ),
    limit,
    cursor,
  },
  strict,
);
export const DeadLettersQuery = Type.Object({ limit, cursor }, strict);
