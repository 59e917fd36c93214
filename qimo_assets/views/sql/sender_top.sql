-- The 100 accounts that sent most messages on each day, with the latest nickname of that day.
-- Nicknames are counted first: max_by sorts what it reads, and an account has few of them and many messages.
CREATE OR REPLACE VIEW {{ database }}.sender_top (
  day COMMENT '日期',
  rank COMMENT '名次(1-100)',
  account COMMENT '发件人账号',
  nickname COMMENT '当日最后使用的昵称',
  messages COMMENT '发送消息数',
  place COMMENT '名次(1-100)'
)
COMMENT '每日发送消息最多的100个账号'
AS
SELECT day, rank, account, nickname, messages, rank AS place
FROM (
  SELECT *, row_number() OVER (PARTITION BY day ORDER BY messages DESC, account) AS rank
  FROM (
    SELECT
      day,
      account,
      coalesce(max_by(nickname, struct(latest, nickname)) FILTER (WHERE nickname <> ''), '{{ unknown }}') AS nickname,
      sum(messages) AS messages
    FROM (
      {% block partial %}
      SELECT day, account, nickname, max(latest) AS latest, count(*) AS messages
      FROM (
        {% block facts %}
        SELECT day, sender_account AS account, sender_nickname AS nickname, msg_time AS latest
        FROM {{ database }}.v_message
        {% endblock %}
      )
      GROUP BY day, account, nickname
      {% endblock %}
    )
    GROUP BY day, account
  )
)
WHERE rank <= 100
