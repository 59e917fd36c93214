ALTER TABLE `{{ metric.name }}`
  ADD COLUMN `{{ name }}` {{ column.mysql_type }} GENERATED ALWAYS AS (`{{ column.name }}`) VIRTUAL COMMENT '{{ column.comment_zh }}'
