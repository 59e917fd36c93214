-- Messages and users by the province of the sender's IP address.
CREATE OR REPLACE VIEW {{ database }}.sender_province (
  day COMMENT '日期',
  country COMMENT '发件人国家',
  province COMMENT '发件人省份',
  messages COMMENT '发送消息数',
  users COMMENT '发件人数'
)
COMMENT '各省份发送消息量'
AS
SELECT day, country, province, count(*) AS messages, count(DISTINCT sender_account) AS users
FROM (
  {% block facts %}
  SELECT
    day,
    coalesce(sender_country, '{{ unknown }}') AS country,
    coalesce(sender_province, '{{ unknown }}') AS province,
    sender_account
  FROM {{ database }}.v_message
  {% endblock %}
)
GROUP BY day, country, province
