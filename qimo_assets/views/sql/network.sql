-- Messages and senders by the sender's network.
-- Clients decide which values there are: those with most messages of a day are told apart (MAX_VALUES in contract.py), the rest is 其他.
CREATE OR REPLACE VIEW {{ database }}.network (
  day COMMENT '日期',
  network COMMENT '发件人网络制式',
  messages COMMENT '消息数',
  senders COMMENT '发件人数'
)
COMMENT '各发件人网络制式的消息量'
AS
SELECT day, network, sum(messages) AS messages, count(DISTINCT sender_account) AS senders
FROM (
  SELECT day, IF(place <= {{ max_values }}, network, '{{ others }}') AS network, sender_account, messages
  FROM (
    SELECT *, dense_rank() OVER (PARTITION BY day ORDER BY of_value DESC, network) AS place
    FROM (
      SELECT *, sum(messages) OVER (PARTITION BY day, network) AS of_value
      FROM (
        SELECT day, network, sender_account, count(*) AS messages
        FROM (
          {% block facts %}
          SELECT day, coalesce(sender_network, '{{ unknown }}') AS network, sender_account
          FROM {{ database }}.v_message
          {% endblock %}
        )
        GROUP BY day, network, sender_account
      )
    )
  )
)
GROUP BY day, network
