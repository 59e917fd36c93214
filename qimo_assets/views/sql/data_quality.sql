-- What arrived for each day and how good it was. A message belongs to the day of its time, a rejected line to the day of its collection.
-- lines are physical lines, each once; sent_again are their further arrivals, known some seconds after the lines themselves.
-- late are messages collected after their day had ended. The age of a message is the seconds from its time to its writing into the lake;
-- late ones are left out of it, since one line of last year would hide how today's come. Where all are late there is no age.
-- Messages are counted by their age first, so that the counts of parts of a day add up.
CREATE OR REPLACE VIEW {{ database }}.data_quality (
  day COMMENT '日期',
  lines COMMENT '收到的行数(入湖与隔离, 重发不计)',
  rows COMMENT '入湖行数',
{% for reason, text in rejections.items() %}
  quarantined_{{ reason }} COMMENT '隔离行数: {{ text }}',
{% endfor %}
  sent_again COMMENT '重发行数',
  late COMMENT '迟到行数(采集日期晚于消息日期)',
  age_p50 COMMENT '未迟到消息从发送到入湖的秒数: 中位数; 全部迟到时为空',
  age_p99 COMMENT '未迟到消息从发送到入湖的秒数: 99%分位; 全部迟到时为空',
  lines_received COMMENT '收到的行数(入湖与隔离, 重发不计)',
  rows_in_lake COMMENT '入湖行数'
)
COMMENT '数据质量'
AS
SELECT
  day,
  sum(rows) + sum(rejected) AS lines,
  sum(rows) AS rows,
{% for reason in rejections %}
  sum(IF(reason = '{{ reason }}', rejected, 0)) AS quarantined_{{ reason }},
{% endfor %}
  sum(again) AS sent_again,
  sum(late) AS late,
  CAST(sum(age_p50) AS BIGINT) AS age_p50,
  CAST(sum(age_p99) AS BIGINT) AS age_p99,
  sum(rows) + sum(rejected) AS lines_received,
  sum(rows) AS rows_in_lake
FROM (
  SELECT
    day, NULL AS reason, 0 AS rejected, 0 AS again,
    sum(messages) AS rows,
    sum(IF(age IS NULL, messages, 0)) AS late,
    min(IF(reached >= 0.5D * aged, age, NULL)) AS age_p50,
    min(IF(reached >= 0.99D * aged, age, NULL)) AS age_p99
  FROM (
    SELECT
      *,
      sum(IF(age IS NULL, 0, messages)) OVER (PARTITION BY day ORDER BY age) AS reached,
      sum(IF(age IS NULL, 0, messages)) OVER (PARTITION BY day) AS aged
    FROM (
      {% block partial %}
      SELECT day, age, count(*) AS messages
      FROM (
        {% block facts %}
        SELECT
          day,
          -- A message may be ahead of its time by a clock that is wrong: it is as new as can be.
          IF(day < to_date(collected_at), NULL, greatest(unix_timestamp(written_at) - unix_timestamp(msg_time), 0)) AS age
        FROM {{ database }}.v_message
        {% endblock %}
      )
      GROUP BY day, age
      {% endblock %}
    )
  )
  GROUP BY day
  UNION ALL
  SELECT CAST(day AS DATE) AS day, reason, count(DISTINCT message_id) AS rejected, 0 AS again, 0 AS rows, 0 AS late, NULL AS age_p50, NULL AS age_p99
  FROM {{ database }}.chat_quarantine_rt
  GROUP BY day, reason
  UNION ALL
  SELECT CAST(day AS DATE) AS day, NULL AS reason, 0 AS rejected, sum(lines) AS again, 0 AS rows, 0 AS late, NULL AS age_p50, NULL AS age_p99
  FROM {{ database }}.chat_sent_again_rt
  GROUP BY day
)
GROUP BY day
-- The stream makes its tables by a batch of nothing, on a day that may stay without a line.
HAVING lines > 0 OR sent_again > 0
