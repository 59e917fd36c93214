-- Messages by the sexes of sender and receiver.
CREATE OR REPLACE VIEW {{ database }}.sex_pair (
  day COMMENT '日期',
  sender_sex COMMENT '发件人性别',
  receiver_sex COMMENT '收件人性别',
  messages COMMENT '消息数'
)
COMMENT '收发双方性别组合的消息量'
AS
SELECT day, sender_sex, receiver_sex, count(*) AS messages
FROM (
  {% block facts %}
  SELECT
    day,
    coalesce(sender_sex, '{{ unknown }}') AS sender_sex,
    coalesce(receiver_sex, '{{ unknown }}') AS receiver_sex
  FROM {{ database }}.v_message
  {% endblock %}
)
GROUP BY day, sender_sex, receiver_sex
