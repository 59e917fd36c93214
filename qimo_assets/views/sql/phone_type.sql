-- Messages and senders by the sender's phone.
CREATE OR REPLACE VIEW {{ database }}.phone_type (
  day COMMENT '日期',
  phone_type COMMENT '发件人手机型号',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人手机型号的消息量'
AS
SELECT
  day,
  coalesce(sender_phone_type, '{{ unknown }}') AS phone_type,
  count(*) AS messages,
  count(DISTINCT sender_account) AS senders
FROM {{ database }}.v_message
GROUP BY day, coalesce(sender_phone_type, '{{ unknown }}')
