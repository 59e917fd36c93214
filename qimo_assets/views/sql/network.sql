-- Messages and senders by the sender's network.
CREATE OR REPLACE VIEW {{ database }}.network (
  day COMMENT '日期',
  network COMMENT '发件人网络制式',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人网络制式的消息量'
AS
SELECT
  day,
  coalesce(sender_network, '{{ unknown }}') AS network,
  count(*) AS messages,
  count(DISTINCT sender_account) AS senders
FROM {{ database }}.v_message
GROUP BY day, coalesce(sender_network, '{{ unknown }}')
