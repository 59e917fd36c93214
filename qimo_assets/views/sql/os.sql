-- Messages and senders by the sender's operating system.
CREATE OR REPLACE VIEW {{ database }}.os (
  day COMMENT '日期',
  os COMMENT '发件人操作系统',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人操作系统的消息量'
AS
SELECT
  day,
  coalesce(sender_os, '{{ unknown }}') AS os,
  count(*) AS messages,
  count(DISTINCT sender_account) AS senders
FROM {{ database }}.v_message
GROUP BY day, coalesce(sender_os, '{{ unknown }}')
