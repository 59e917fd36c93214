-- Messages, senders, receivers and pairs of each day.
-- Pairs are counted first: one pass over few rows instead of three distinct counts over all messages.
CREATE OR REPLACE VIEW {{ database }}.message_total (
  day COMMENT '日期',
  messages COMMENT '消息数',
  senders COMMENT '发件人数',
  receivers COMMENT '收件人数',
  pairs COMMENT '会话对数(发件人与收件人的不同组合)'
)
COMMENT '每日消息总量'
AS
SELECT
  day,
  sum(messages) AS messages,
  count(DISTINCT sender_account) AS senders,
  count(DISTINCT receiver_account) AS receivers,
  count(*) AS pairs
FROM (
  SELECT day, sender_account, receiver_account, count(*) AS messages
  FROM (
    {% block facts %}
    SELECT day, sender_account, receiver_account
    FROM {{ database }}.v_message
    {% endblock %}
  )
  GROUP BY day, sender_account, receiver_account
)
GROUP BY day
