-- Lines that arrived and lines that were rejected, by day of collection. Of the lake only the newest days are read: a line that came
-- later than that counts as none that arrived.
SELECT day, sum(lines) AS lines, sum(rejected) AS rejected
FROM (
  SELECT date_format(collected_at, 'yyyy-MM-dd') AS day, count(*) AS lines, 0 AS rejected
  FROM {database}.chat_message_rt
  WHERE day >= %(oldest)s
  GROUP BY date_format(collected_at, 'yyyy-MM-dd')
  UNION ALL
  SELECT day, count(DISTINCT message_id) AS lines, count(DISTINCT message_id) AS rejected
  FROM {database}.chat_quarantine_rt
  WHERE day >= %(since)s
  GROUP BY day
)
WHERE day >= %(since)s
GROUP BY day
