-- The 100 accounts that sent most messages on each day, with the latest nickname of that day.
CREATE OR REPLACE VIEW {{ database }}.sender_top (
  day COMMENT '日期',
  rank COMMENT '名次(1-100)',
  account COMMENT '发件人账号',
  nickname COMMENT '当日最后使用的昵称',
  messages COMMENT '发送消息数'
)
COMMENT '每日发送消息最多的100个账号'
AS
SELECT day, rank, account, nickname, messages
FROM (
  SELECT *, row_number() OVER (PARTITION BY day ORDER BY messages DESC, account) AS rank
  FROM (
    SELECT
      day,
      sender_account AS account,
      coalesce(max_by(sender_nickname, struct(msg_time, sender_nickname)) FILTER (WHERE sender_nickname <> ''), '{{ unknown }}') AS nickname,
      count(*) AS messages
    FROM {{ database }}.v_message
    GROUP BY day, sender_account
  )
)
WHERE rank <= 100
