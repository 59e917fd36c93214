ALTER TABLE `{{ metric.name }}`
  MODIFY COLUMN `{{ column.name }}` {{ column.mysql_type }} NULL COMMENT '{{ column.comment_zh }}'
