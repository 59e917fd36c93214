-- Messages and users by the province of the receiver's IP address.
CREATE OR REPLACE VIEW {{ database }}.receiver_province (
  day COMMENT '日期',
  country COMMENT '收件人国家',
  province COMMENT '收件人省份',
  messages COMMENT '接收消息数',
  users COMMENT '收件人数'
)
COMMENT '各省份接收消息量'
AS
SELECT day, country, province, count(*) AS messages, count(DISTINCT receiver_account) AS users
FROM (
  {% block facts %}
  SELECT
    day,
    coalesce(receiver_country, '{{ unknown }}') AS country,
    coalesce(receiver_province, '{{ unknown }}') AS province,
    receiver_account
  FROM {{ database }}.v_message
  {% endblock %}
)
GROUP BY day, country, province
