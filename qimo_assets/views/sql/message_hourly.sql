-- Messages, senders and receivers of each hour that has messages.
CREATE OR REPLACE VIEW {{ database }}.message_hourly (
  day COMMENT '日期',
  hour COMMENT '小时(0-23)',
  messages COMMENT '消息数',
  senders COMMENT '发件人数',
  receivers COMMENT '收件人数'
)
COMMENT '每小时消息量'
AS
SELECT day, hour, count(*) AS messages, count(DISTINCT sender_account) AS senders, count(DISTINCT receiver_account) AS receivers
FROM (
  {% block facts %}
  SELECT day, hour, sender_account, receiver_account
  FROM {{ database }}.v_message
  {% endblock %}
)
GROUP BY day, hour
