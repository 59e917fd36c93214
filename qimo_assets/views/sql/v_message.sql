-- Every message once, typed, for analysts. Always give a day (WHERE day = '2021-11-07'): it is the partition.
CREATE OR REPLACE VIEW {{ database }}.v_message (
  message_id COMMENT '消息唯一标识',
  day COMMENT '消息日期(分区)',
  hour COMMENT '消息小时(0-23)',
  msg_time COMMENT '消息时间',
  sender_nickname COMMENT '发件人昵称',
  sender_account COMMENT '发件人账号',
  sender_sex COMMENT '发件人性别',
  sender_ip COMMENT '发件人IP',
  sender_os COMMENT '发件人系统',
  sender_phone_type COMMENT '发件人手机型号',
  sender_network COMMENT '发件人网络制式',
  sender_longitude COMMENT '发件人经度',
  sender_latitude COMMENT '发件人纬度',
  sender_country COMMENT '发件人国家',
  sender_province COMMENT '发件人省份',
  sender_city COMMENT '发件人城市',
  receiver_nickname COMMENT '收件人昵称',
  receiver_account COMMENT '收件人账号',
  receiver_sex COMMENT '收件人性别',
  receiver_ip COMMENT '收件人IP',
  receiver_os COMMENT '收件人系统',
  receiver_phone_type COMMENT '收件人手机型号',
  receiver_network COMMENT '收件人网络制式',
  receiver_longitude COMMENT '收件人经度',
  receiver_latitude COMMENT '收件人纬度',
  receiver_country COMMENT '收件人国家',
  receiver_province COMMENT '收件人省份',
  receiver_city COMMENT '收件人城市',
  msg_type COMMENT '消息类型',
  distance COMMENT '双方距离(公里)',
  message COMMENT '消息内容',
  source_host COMMENT '来源主机',
  source_file COMMENT '来源文件',
  source_offset COMMENT '来源文件中的字节偏移',
  collected_at COMMENT '采集时间',
  written_at COMMENT '入湖时间'{{ "," if added }}
{% for name, comment in added.items() %}
  {{ name }} COMMENT '{{ comment }}'{{ "," if not loop.last }}
{% endfor %}
)
COMMENT '七陌聊天消息明细, 每条消息一行'
AS
SELECT
  -- A date, as BI tools need it for a calendar; the table's text names the partition.
  message_id, CAST(day AS DATE) AS day, hour, msg_time,
  sender_nickname, sender_account, sender_sex, sender_ip, sender_os, sender_phone_type, sender_network,
  sender_longitude, sender_latitude, sender_country, sender_province, sender_city,
  receiver_nickname, receiver_account, receiver_sex, receiver_ip, receiver_os, receiver_phone_type, receiver_network,
  receiver_longitude, receiver_latitude, receiver_country, receiver_province, receiver_city,
  msg_type, distance, message,
  source_host, source_file, source_offset, collected_at, written_at{{ "," if added }}
{% for name in added %}
  {{ name }}{{ "," if not loop.last }}
{% endfor %}
FROM {{ database }}.chat_message{{ reading }}{{ only }}
