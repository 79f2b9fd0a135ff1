CREATE TABLE IF NOT EXISTS {{database}}.batch_gaps {{on_cluster}}
(
  experiment LowCardinality(String),
  worker LowCardinality(String),
  partition UInt16 COMMENT 'partition of the subject',
  first_missing UInt64 COMMENT 'first batch number that never came',
  last_missing UInt64 COMMENT 'last batch number that never came, inclusive',
  seen_at DateTime64(6, 'UTC') COMMENT 'stream time of the message that showed the gap'
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toYYYYMM(seen_at)
ORDER BY (experiment, worker, partition, first_missing)
SETTINGS {{deduplication}}
COMMENT 'One row per stretch of batch numbers that never came. Key: experiment, worker, partition, first_missing. A replay carries the same insert token and adds nothing. Kept retention.rollupsDays.';
