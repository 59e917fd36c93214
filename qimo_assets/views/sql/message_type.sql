-- Messages and senders by type of message.
CREATE OR REPLACE VIEW {{ database }}.message_type (
  day COMMENT '日期',
  msg_type COMMENT '消息类型',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各消息类型的消息量'
AS
SELECT
  day,
  coalesce(msg_type, '{{ unknown }}') AS msg_type,
  count(*) AS messages,
  count(DISTINCT sender_account) AS senders
FROM {{ database }}.v_message
GROUP BY day, coalesce(msg_type, '{{ unknown }}')
