-- The same by the hour: a long range merges few sketches instead of many.
CREATE TABLE IF NOT EXISTS {{database}}.rollup_pairs_hour {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String),
  hour DateTime('UTC') COMMENT 'of joined_at',
  route LowCardinality(String),
  method LowCardinality(String),
  pairs SimpleAggregateFunction(sum, UInt64),
  divergent_pairs SimpleAggregateFunction(sum, UInt64),
  bytes_equal_pairs SimpleAggregateFunction(sum, UInt64),
  control_pairs SimpleAggregateFunction(sum, UInt64) COMMENT 'pairs with a control',
  ratio_pairs SimpleAggregateFunction(sum, UInt64) COMMENT 'pairs with a latency_log_ratio',
  control_ratio_pairs SimpleAggregateFunction(sum, UInt64) COMMENT 'pairs with a control_latency_log_ratio',
  first_joined_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
  last_joined_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
  primary_us AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'µs, total duration of legs that ended complete; quantiles within 1 %, as all below',
  shadow_us AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64),
  control_us AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64),
  latency_ratio AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float64) COMMENT 'shadow / primary, pair by pair',
  control_latency_ratio AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Float64) COMMENT 'control / primary, pair by pair'
)
ENGINE = {{engine:AggregatingMergeTree}}
PARTITION BY toYYYYMM(hour)
ORDER BY (experiment, run, shadow, hour, route, method)
SETTINGS {{deduplication}}
COMMENT 'Figures of the pairs of one hour, route and method. Fed by pairs; a replayed insert changes nothing. Rows of a key may be several until they merge: always sum and merge. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.rollup_pairs_hour_view {{on_cluster}} TO {{database}}.rollup_pairs_hour AS
SELECT
  experiment,
  run,
  shadow,
  toStartOfHour(joined_at) AS hour,
  route,
  method,
  count() AS pairs,
  sum(divergent) AS divergent_pairs,
  sum(bytes_equal) AS bytes_equal_pairs,
  sum(has_control) AS control_pairs,
  countIf(isNotNull(latency_log_ratio)) AS ratio_pairs,
  countIf(isNotNull(control_latency_log_ratio)) AS control_ratio_pairs,
  min(joined_at) AS first_joined_at,
  max(joined_at) AS last_joined_at,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(primary_total_us, primary_ending = 'complete') AS primary_us,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(shadow_total_us, shadow_ending = 'complete') AS shadow_us,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(control_total_us), isNotNull(control_total_us) AND control_ending = 'complete') AS control_us,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(exp(assumeNotNull(latency_log_ratio)), isNotNull(latency_log_ratio)) AS latency_ratio,
  quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(exp(assumeNotNull(control_latency_log_ratio)), isNotNull(control_latency_log_ratio)) AS control_latency_ratio
FROM {{database}}.pairs
GROUP BY experiment, run, shadow, hour, route, method;
