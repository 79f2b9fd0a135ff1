CREATE TABLE IF NOT EXISTS {{database}}.dead_letters {{on_cluster}}
(
  received_at DateTime64(6, 'UTC') COMMENT 'stream time of the message',
  sequence UInt64 COMMENT 'place of the message in the stream',
  line UInt32 COMMENT 'line in the batch, from 1; 0 for the whole message',
  experiment LowCardinality(String) COMMENT 'by the subject; empty when it names none',
  subject String,
  code LowCardinality(String) COMMENT 'an error code of docs/failure-modes.md',
  message String COMMENT 'what came and what was expected',
  excerpt String COMMENT 'at most 256 characters'
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toYYYYMM(received_at)
ORDER BY (received_at, sequence, line)
SETTINGS {{deduplication}}
COMMENT 'One row per message or line that could not be used. Key: sequence, line. A replay carries the same insert token and adds nothing. Kept retention.rollupsDays.';
