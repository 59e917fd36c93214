-- Each rejected line once, with its bytes and its reason, as analysts look for what went wrong.
-- A line that came again on another day stands in two days of the table, and one that was ahead of its time may have been accepted when
-- it came again: here the newest arrival counts, and what is in the lake is no longer rejected.
CREATE OR REPLACE VIEW {{ database }}.v_quarantine (
  message_id COMMENT '行标识(128位十六进制), 与采集重发无关',
  day COMMENT '采集日期(上海时间)',
  reason COMMENT '拒收原因: {% for reason, text in rejections.items() %}{{ reason }} {{ text }}{{ ", " if not loop.last }}{% endfor %}',
  raw_text COMMENT '原始行文本(非UTF-8字节显示为替换符)',
  raw_hex COMMENT '原始行字节(十六进制)',
  raw_bytes COMMENT '原始行字节数',
  source_host COMMENT '来源主机',
  source_file COMMENT '来源文件',
  source_offset COMMENT '来源文件中的字节偏移',
  kafka_partition COMMENT 'Kafka分区',
  kafka_offset COMMENT 'Kafka偏移',
  collected_at COMMENT '采集时间',
  written_at COMMENT '入库时间'
)
COMMENT '被拒收的聊天消息行, 每行一条'
AS
SELECT
  q.message_id, CAST(q.day AS DATE) AS day, q.reason,
  decode(q.raw, 'UTF-8') AS raw_text, hex(q.raw) AS raw_hex, length(q.raw) AS raw_bytes,
  q.source_host, q.source_file, q.source_offset, q.kafka_partition, q.kafka_offset, q.collected_at, q.written_at
FROM (
  SELECT *, row_number() OVER (PARTITION BY message_id ORDER BY collected_at DESC, kafka_partition DESC, kafka_offset DESC) AS arrival
  FROM {{ database }}.chat_quarantine_rt
) q
-- The day of its own time leaves only that day of the lake to be searched.
LEFT ANTI JOIN {{ database }}.chat_message_rt m ON m.message_id = q.message_id AND m.day = decode(substring(q.raw, 1, 10), 'UTF-8')
WHERE q.arrival = 1
