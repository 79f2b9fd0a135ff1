-- Written when an analyzer starts, from its configuration; readers take the newest of a key.
CREATE TABLE IF NOT EXISTS {{database}}.runs {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String) COMMENT 'hash of the frozen configuration, 12 hexadecimal digits',
  recorded_at DateTime64(6, 'UTC') COMMENT 'when an analyzer last started with it, its own clock',
  builds Map(LowCardinality(String), String) COMMENT 'shadow to the label of its build; shadows without a label are left out',
  sample_fraction Float64 COMMENT '0 to 1',
  has_control UInt8
)
ENGINE = {{engine:ReplacingMergeTree(recorded_at)}}
ORDER BY (experiment, run)
SETTINGS {{deduplication}}
COMMENT 'One row per run that an analyzer was configured with. Key: experiment, run. A replay replaces the row; read with FINAL.';
