-- Messages by the distance between sender and receiver, in kilometres; a band holds its lower end.
CREATE OR REPLACE VIEW {{ database }}.distance_band (
  day COMMENT '日期',
  band COMMENT '双方距离区间(公里, 含下限)',
  messages COMMENT '消息数'
)
COMMENT '各距离区间的消息量'
AS
SELECT day, band, count(*) AS messages
FROM (
  {% block facts %}
  SELECT
    day,
    CASE
      WHEN distance IS NULL THEN '{{ unknown }}'
      WHEN distance < 1 THEN '0-1'
      WHEN distance < 10 THEN '1-10'
      WHEN distance < 100 THEN '10-100'
      WHEN distance < 1000 THEN '100-1000'
      ELSE '1000+'
    END AS band
  FROM {{ database }}.v_message
  {% endblock %}
)
GROUP BY day, band
