-- Accounts that sent on each day, in the 7 and in the 30 days up to it, for the first time ever, and again on the next day.
-- An account's last day of sending before a day counts it there for 30 days or until it sends again, so that no day counts it twice.
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
  count_if(age = 0) AS daily,
  count_if(age < 7) AS weekly,
  count(*) AS monthly,
  count_if(age = 0 AND sent_on = first_on) AS new,
  count_if(age = 0 AND datediff(next_on, sent_on) = 1) AS returning_next_day
FROM (
  SELECT date_format(date_add(sent_on, age), 'yyyy-MM-dd') AS day, age, sent_on, first_on, next_on
  FROM (
    SELECT
      day AS sent_on,
      min(day) OVER (PARTITION BY sender_account) AS first_on,
      lead(day) OVER (PARTITION BY sender_account ORDER BY day) AS next_on
    FROM (SELECT DISTINCT day, sender_account FROM {{ database }}.v_message)
  )
  LATERAL VIEW explode(sequence(0, least(30, coalesce(datediff(next_on, sent_on), 30)) - 1)) AS age
)
GROUP BY day
-- A day on which nobody sent has no row, as in the other metrics.
HAVING daily > 0
