-- Messages by the sexes of sender and receiver.
CREATE OR REPLACE VIEW {{ database }}.sex_pair (
  day COMMENT '日期',
  sender_sex COMMENT '发件人性别',
  receiver_sex COMMENT '收件人性别',
  messages COMMENT '消息数'
)
COMMENT '收发双方性别组合的消息量'
AS
SELECT
  day,
  coalesce(sender_sex, '{{ unknown }}') AS sender_sex,
  coalesce(receiver_sex, '{{ unknown }}') AS receiver_sex,
  count(*) AS messages
FROM {{ database }}.v_message
GROUP BY day, coalesce(sender_sex, '{{ unknown }}'), coalesce(receiver_sex, '{{ unknown }}')
