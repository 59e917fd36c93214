-- Messages and senders by type of message.
-- Clients decide which values there are: those with most messages of a day are told apart (MAX_VALUES in contract.py), the rest is 其他.
CREATE OR REPLACE VIEW {{ database }}.message_type (
  day COMMENT '日期',
  msg_type COMMENT '消息类型',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各消息类型的消息量'
AS
SELECT day, msg_type, sum(messages) AS messages, count(DISTINCT sender_account) AS senders
FROM (
  SELECT day, IF(place <= {{ max_values }}, msg_type, '{{ others }}') AS msg_type, sender_account, messages
  FROM (
    SELECT *, dense_rank() OVER (PARTITION BY day ORDER BY of_value DESC, msg_type) AS place
    FROM (
      SELECT *, sum(messages) OVER (PARTITION BY day, msg_type) AS of_value
      FROM (
        SELECT day, msg_type, sender_account, count(*) AS messages
        FROM (
          {% block facts %}
          SELECT day, coalesce(msg_type, '{{ unknown }}') AS msg_type, sender_account
          FROM {{ database }}.v_message
          {% endblock %}
        )
        GROUP BY day, msg_type, sender_account
      )
    )
  )
)
GROUP BY day, msg_type
