-- For the accounting: what has arrived of each leg, by the worker that saw it. A primary leg has a row for each of its shadows;
-- read one shadow at a time.
CREATE TABLE IF NOT EXISTS {{database}}.rollup_legs_hour {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String) COMMENT 'the shadow of the pairs',
  hour DateTime('UTC') COMMENT 'of joined_at',
  leg LowCardinality(String) COMMENT 'primary, control, or the shadow',
  worker LowCardinality(String) COMMENT 'filter worker that saw the leg',
  requests UInt64 COMMENT 'pairs that hold this leg',
  records UInt64 COMMENT 'their attempts: each was one record'
)
ENGINE = {{engine:SummingMergeTree}}
PARTITION BY toYYYYMM(hour)
ORDER BY (experiment, run, shadow, hour, leg, worker)
SETTINGS {{deduplication}}
COMMENT 'Legs in the pairs of one hour by worker. Fed by pairs; a replayed insert changes nothing. Rows of a key may be several until they merge: always sum. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.rollup_legs_hour_view {{on_cluster}} TO {{database}}.rollup_legs_hour AS
SELECT
  experiment, run, shadow, hour,
  one.1 AS leg, one.2 AS worker, count() AS requests, sum(one.3) AS records
FROM
(
  SELECT
    experiment, run, shadow, toStartOfHour(joined_at) AS hour,
    arrayJoin(arrayFilter(leg -> leg.3 > 0, [
      ('primary', toString(worker), toUInt64(primary_attempts)),
      (toString(shadow), toString(shadow_worker), toUInt64(shadow_attempts)),
      ('control', toString(control_worker), toUInt64(ifNull(control_attempts, 0)))
    ])) AS one
  FROM {{database}}.pairs
)
GROUP BY experiment, run, shadow, hour, leg, worker;
