-- The 100 accounts that received most messages on each day, with the latest nickname of that day.
CREATE OR REPLACE VIEW {{ database }}.receiver_top (
  day COMMENT '日期',
  rank COMMENT '名次(1-100)',
  account COMMENT '收件人账号',
  nickname COMMENT '当日最后使用的昵称',
  messages COMMENT '接收消息数'
)
COMMENT '每日接收消息最多的100个账号'
AS
SELECT day, rank, account, nickname, messages
FROM (
  SELECT *, row_number() OVER (PARTITION BY day ORDER BY messages DESC, account) AS rank
  FROM (
    SELECT
      day,
      receiver_account AS account,
      coalesce(max_by(receiver_nickname, struct(msg_time, receiver_nickname)) FILTER (WHERE receiver_nickname <> ''), '{{ unknown }}') AS nickname,
      count(*) AS messages
    FROM {{ database }}.v_message
    GROUP BY day, receiver_account
  )
)
WHERE rank <= 100
