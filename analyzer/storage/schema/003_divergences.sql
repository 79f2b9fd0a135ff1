CREATE TABLE IF NOT EXISTS {{database}}.divergences {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String),
  joined_at DateTime64(6, 'UTC') COMMENT 'as in pairs',
  correlation_id UUID,
  method LowCardinality(String),
  route LowCardinality(String),
  side LowCardinality(String) COMMENT 'shadow: shadow against primary; control: control against primary, which is noise',
  rule LowCardinality(String),
  grade LowCardinality(String) COMMENT 'high, medium, low',
  primary_value String COMMENT 'what the primary had, safe to show: a status, a size, a media type; never content',
  other_value String COMMENT 'what the shadow or the control had',
  sentence String COMMENT 'the finding in plain words'
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toDate(joined_at)
ORDER BY (experiment, run, shadow, joined_at, correlation_id, side, rule)
SETTINGS {{deduplication}}, ttl_only_drop_parts = 1
COMMENT 'One row per finding of a rule in a pair. Key: experiment, run, shadow, correlation_id, side, rule. A replay carries the same insert token and adds nothing. Kept retention.pairsDays.';
