-- Kept as long as the rollups: the accounting of a long run needs the orphans of its first day.
CREATE TABLE IF NOT EXISTS {{database}}.orphans {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  closed_at DateTime64(6, 'UTC') COMMENT 'stream time at which the window closed, or at which the late leg came',
  correlation_id UUID,
  leg LowCardinality(String) COMMENT 'the leg that was seen',
  missing_leg LowCardinality(String) COMMENT 'the leg that was not seen in time',
  reason LowCardinality(String) COMMENT 'shadow-missing, primary-missing, late, evicted',
  batch_lost UInt8 COMMENT '1: a batch of the same worker was lost meanwhile, the partner may have been in it',
  attempt UInt16 COMMENT 'attempt of the leg that was seen',
  worker LowCardinality(String) COMMENT 'filter worker that saw the leg',
  started_at DateTime64(6, 'UTC') COMMENT 'request headers of the leg, clock of the filter',
  method LowCardinality(String),
  route LowCardinality(String),
  params Array(LowCardinality(String)),
  segments Map(LowCardinality(String), String),
  status UInt16 COMMENT 'HTTP status; 0 without an answer',
  grpc_status Nullable(Int32),
  request_bytes UInt64,
  response_bytes UInt64,
  content_type LowCardinality(String) COMMENT 'of the response; empty when there was none',
  content_encoding LowCardinality(String),
  first_byte_us Nullable(UInt64) COMMENT 'µs from request headers to response headers',
  total_us UInt64 COMMENT 'µs from request headers to the end of the leg',
  ending LowCardinality(String),
  failure LowCardinality(String),
  cut Array(LowCardinality(String)) COMMENT 'fields cut at a limit',

  INDEX correlation_id_filter correlation_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toYYYYMM(closed_at)
ORDER BY (experiment, run, closed_at, correlation_id, leg, missing_leg, reason, attempt)
SETTINGS {{deduplication}}
COMMENT 'One row per request and leg without its partner. Key: experiment, run, correlation_id, leg, missing_leg, reason. A replay carries the same insert token and adds nothing. Kept retention.rollupsDays.';
