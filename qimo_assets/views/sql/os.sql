-- Messages and senders by the sender's operating system.
-- Clients decide which values there are: those with most messages of a day are told apart (MAX_VALUES in contract.py), the rest is 其他.
CREATE OR REPLACE VIEW {{ database }}.os (
  day COMMENT '日期',
  os COMMENT '发件人操作系统',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人操作系统的消息量'
AS
SELECT day, os, sum(messages) AS messages, count(DISTINCT sender_account) AS senders
FROM (
  SELECT day, IF(place <= {{ max_values }}, os, '{{ others }}') AS os, sender_account, messages
  FROM (
    SELECT *, dense_rank() OVER (PARTITION BY day ORDER BY of_value DESC, os) AS place
    FROM (
      SELECT *, sum(messages) OVER (PARTITION BY day, os) AS of_value
      FROM (
        SELECT day, os, sender_account, count(*) AS messages
        FROM (
          {% block facts %}
          SELECT day, coalesce(sender_os, '{{ unknown }}') AS os, sender_account
          FROM {{ database }}.v_message
          {% endblock %}
        )
        GROUP BY day, os, sender_account
      )
    )
  )
)
GROUP BY day, os
