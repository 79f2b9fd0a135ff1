CREATE TABLE IF NOT EXISTS {{database}}.rollup_divergences_minute {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String),
  minute DateTime('UTC') COMMENT 'of joined_at',
  route LowCardinality(String),
  method LowCardinality(String),
  side LowCardinality(String) COMMENT 'shadow, or control for noise',
  rule LowCardinality(String),
  grade LowCardinality(String),
  pairs UInt64 COMMENT 'pairs in which the rule found something'
)
ENGINE = {{engine:SummingMergeTree}}
PARTITION BY toYYYYMM(minute)
ORDER BY (experiment, run, shadow, minute, route, method, side, rule, grade)
SETTINGS {{deduplication}}
COMMENT 'Findings of one minute by route, method, side, rule and grade. Fed by divergences; a replayed insert changes nothing. Rows of a key may be several until they merge: always sum. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.rollup_divergences_minute_view {{on_cluster}} TO {{database}}.rollup_divergences_minute AS
SELECT experiment, run, shadow, toStartOfMinute(joined_at) AS minute, route, method, side, rule, grade, count() AS pairs
FROM {{database}}.divergences
GROUP BY experiment, run, shadow, minute, route, method, side, rule, grade;
