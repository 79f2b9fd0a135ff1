CREATE TABLE IF NOT EXISTS {{database}}.duplicates {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  leg LowCardinality(String),
  at DateTime64(6, 'UTC') COMMENT 'stream time',
  records UInt64 COMMENT 'records of this leg whose attempt had been seen already'
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toYYYYMM(at)
ORDER BY (experiment, run, leg, at)
SETTINGS {{deduplication}}
COMMENT 'One row per write, run and leg with records that came twice; sum records. Key: experiment, run, leg, at. A replay carries the same insert token and adds nothing. Kept retention.rollupsDays.';
