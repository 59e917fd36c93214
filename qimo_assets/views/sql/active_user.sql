-- Accounts that sent on each day, in the 7 and in the 30 days up to it, for the first time ever, and again on the next day.
-- An account's last day of sending before a day counts it there for 30 days or until it sends again, so that no day counts it twice. Accounts of one
-- day that count there equally long are counted before their days are told apart: a few hundred rows instead of 30 for each account and day.
-- Who is new depends on all that came before: whatever day is asked for, two columns of all messages are read.
CREATE OR REPLACE VIEW {{ database }}.active_user (
  day COMMENT '日期',
  daily COMMENT '日活跃用户数(当日发过消息的账号)',
  weekly COMMENT '周活跃用户数(截至当日的7天)',
  monthly COMMENT '月活跃用户数(截至当日的30天)',
  new COMMENT '新用户数(此前从未发过消息)',
  returning_next_day COMMENT '次日仍活跃的用户数'
)
COMMENT '活跃用户与次日留存'
AS
SELECT
  day,
  sum(IF(age = 0, accounts, 0)) AS daily,
  sum(IF(age < 7, accounts, 0)) AS weekly,
  sum(accounts) AS monthly,
  sum(IF(age = 0 AND is_first, accounts, 0)) AS new,
  sum(IF(age = 0 AND lasts = 1, accounts, 0)) AS returning_next_day
FROM (
  SELECT date_add(sent_on, age) AS day, age, is_first, lasts, accounts
  FROM (
    SELECT sent_on, is_first, lasts, count(*) AS accounts
    FROM (
      SELECT
        day AS sent_on,
        row_number() OVER (PARTITION BY sender_account ORDER BY day) = 1 AS is_first,
        least(30, coalesce(datediff(lead(day) OVER (PARTITION BY sender_account ORDER BY day), day), 30)) AS lasts
      FROM (
        {% block account_days %}
        SELECT DISTINCT day, sender_account FROM {{ database }}.v_message
        {% endblock %}
      )
    )
    GROUP BY sent_on, is_first, lasts
  )
  LATERAL VIEW explode(sequence(0, lasts - 1)) AS age
)
GROUP BY day
-- A day on which nobody sent has no row, as in the other metrics.
HAVING daily > 0
