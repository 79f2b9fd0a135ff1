CREATE TABLE IF NOT EXISTS {{database}}.ledger {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  worker LowCardinality(String) COMMENT 'drawn when the filter VM starts: a restarted worker is a new one',
  number UInt64 COMMENT 'counts the ledgers of this worker, experiment and run from 1',
  clock_at DateTime64(6, 'UTC') COMMENT 'clock of the worker',
  final UInt8 COMMENT '1: the worker said goodbye',
  seen UInt64 COMMENT 'requests that matched the experiment; this and all below count since the worker began',
  sampled UInt64,
  unreached UInt64 COMMENT 'sampled, but ended before the primary leg began',
  unsampled Map(LowCardinality(String), UInt64) COMMENT 'reason to requests',
  batches_sent UInt64,
  batches_retried UInt64,
  batches_failed UInt64,
  legs Nested
  (
    leg LowCardinality(String),
    requests UInt64,
    attempts UInt64,
    endings Map(LowCardinality(String), UInt64),
    published UInt64,
    dropped Map(LowCardinality(String), UInt64)
  )
)
ENGINE = {{engine:MergeTree}}
PARTITION BY toDate(clock_at)
ORDER BY (experiment, run, worker, number)
SETTINGS {{deduplication}}, ttl_only_drop_parts = 1
COMMENT 'One row per ledger that a worker sent; counters are cumulative, the highest number of a worker wins. Key: experiment, run, worker, number. A replay carries the same insert token and adds nothing. Kept retention.pairsDays.';

-- The newest of each worker, kept as long as the rollups, so that the accounting reads one row a worker.
CREATE TABLE IF NOT EXISTS {{database}}.ledger_newest {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  worker String,
  number UInt64,
  clock_at DateTime64(6, 'UTC'),
  final UInt8,
  seen UInt64,
  sampled UInt64,
  unreached UInt64,
  unsampled Map(LowCardinality(String), UInt64),
  batches_sent UInt64,
  batches_retried UInt64,
  batches_failed UInt64,
  legs Nested
  (
    leg LowCardinality(String),
    requests UInt64,
    attempts UInt64,
    endings Map(LowCardinality(String), UInt64),
    published UInt64,
    dropped Map(LowCardinality(String), UInt64)
  )
)
ENGINE = {{engine:ReplacingMergeTree(number)}}
ORDER BY (experiment, run, worker)
SETTINGS {{deduplication}}
COMMENT 'The newest ledger of each worker; columns as in ledger. Key: experiment, run, worker. A replay replaces a row by itself; read with FINAL. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.ledger_newest_view {{on_cluster}} TO {{database}}.ledger_newest AS
SELECT
  experiment, run, worker, number, clock_at, final, seen, sampled, unreached, unsampled,
  batches_sent, batches_retried, batches_failed,
  legs.leg, legs.requests, legs.attempts, legs.endings, legs.published, legs.dropped
FROM {{database}}.ledger;
