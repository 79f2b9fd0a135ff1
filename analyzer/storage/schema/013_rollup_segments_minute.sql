CREATE TABLE IF NOT EXISTS {{database}}.rollup_segments_minute {{on_cluster}}
(
  experiment LowCardinality(String),
  run LowCardinality(String),
  shadow LowCardinality(String),
  minute DateTime('UTC') COMMENT 'of joined_at',
  route LowCardinality(String),
  method LowCardinality(String),
  name LowCardinality(String) COMMENT 'a request header that the configuration keeps in clear',
  value String,
  pairs UInt64,
  divergent_pairs UInt64
)
ENGINE = {{engine:SummingMergeTree}}
PARTITION BY toYYYYMM(minute)
ORDER BY (experiment, run, shadow, minute, route, method, name, value)
SETTINGS {{deduplication}}
COMMENT 'Pairs of one minute by route, method, segment and value. Fed by pairs; a replayed insert changes nothing. Rows of a key may be several until they merge: always sum. Kept retention.rollupsDays.';

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.rollup_segments_minute_view {{on_cluster}} TO {{database}}.rollup_segments_minute AS
SELECT
  experiment, run, shadow, toStartOfMinute(joined_at) AS minute, route, method,
  segment.1 AS name, segment.2 AS value, count() AS pairs, sum(divergent) AS divergent_pairs
FROM {{database}}.pairs
ARRAY JOIN CAST(segments, 'Array(Tuple(String, String))') AS segment
GROUP BY experiment, run, shadow, minute, route, method, name, value;
