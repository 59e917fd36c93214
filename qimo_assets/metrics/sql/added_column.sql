ALTER TABLE `{{ metric.name }}`
  ADD COLUMN `{{ column.name }}` {{ column.mysql_type }}{{ " CHARACTER SET utf8mb4 COLLATE " ~ collation if column.is_text }} NULL COMMENT '{{ column.comment_zh }}'
  AFTER `{{ before.name }}`
