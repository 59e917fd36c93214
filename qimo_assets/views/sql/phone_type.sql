-- Messages and senders by the sender's phone.
-- Clients decide which values there are: those with most messages of a day are told apart (MAX_VALUES in contract.py), the rest is 其他.
CREATE OR REPLACE VIEW {{ database }}.phone_type (
  day COMMENT '日期',
  phone_type COMMENT '发件人手机型号',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人手机型号的消息量'
AS
SELECT day, phone_type, sum(messages) AS messages, count(DISTINCT sender_account) AS senders
FROM (
  SELECT day, IF(place <= {{ max_values }}, phone_type, '{{ others }}') AS phone_type, sender_account, messages
  FROM (
    SELECT *, dense_rank() OVER (PARTITION BY day ORDER BY of_value DESC, phone_type) AS place
    FROM (
      SELECT *, sum(messages) OVER (PARTITION BY day, phone_type) AS of_value
      FROM (
        SELECT day, phone_type, sender_account, count(*) AS messages
        FROM (
          {% block facts %}
          SELECT day, coalesce(sender_phone_type, '{{ unknown }}') AS phone_type, sender_account
          FROM {{ database }}.v_message
          {% endblock %}
        )
        GROUP BY day, phone_type, sender_account
      )
    )
  )
)
GROUP BY day, phone_type
