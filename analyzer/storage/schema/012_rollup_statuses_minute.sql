CREATE TABLE IF NOT EXISTS {{database}}.rollup_statuses_minute {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String),
  minute DateTime('UTC') COMMENT 'of joined_at',
  route LowCardinality(String),
  method LowCardinality(String),
  primary_status UInt16 COMMENT 'HTTP status; 0 without an answer',
  shadow_status UInt16,
  pairs UInt64
)
ENGINE = {{engine:SummingMergeTree}}
PARTITION BY toYYYYMM(minute)
ORDER BY (experiment, run, shadow, minute, route, method, primary_status, shadow_status)
SETTINGS {{deduplication}}
COMMENT 'Pairs of one minute by route, method and both statuses. Fed by pairs; a replayed insert changes nothing. Rows of a key may be several until they merge: always sum. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.rollup_statuses_minute_view {{on_cluster}} TO {{database}}.rollup_statuses_minute AS
SELECT experiment, run, shadow, toStartOfMinute(joined_at) AS minute, route, method, primary_status, shadow_status, count() AS pairs
FROM {{database}}.pairs
GROUP BY experiment, run, shadow, minute, route, method, primary_status, shadow_status;
