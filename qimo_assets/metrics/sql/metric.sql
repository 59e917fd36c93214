CREATE TABLE IF NOT EXISTS `{{ metric.name }}` (
{% for column in metric.columns %}
  `{{ column.name }}` {{ column.mysql_type }}{{ " CHARACTER SET utf8mb4 COLLATE " ~ collation if column.is_text }} {{ "NULL" if column.nullable else "NOT NULL" }} COMMENT '{{ column.comment_zh }}',
{% endfor %}
{% for name, column in metric.plain_names.items() %}
  `{{ name }}` {{ column.mysql_type }} GENERATED ALWAYS AS (`{{ column.name }}`) VIRTUAL COMMENT '{{ column.comment_zh }}',
{% endfor %}
  PRIMARY KEY ({% for column in metric.key_columns %}`{{ column.name }}`{{ ", " if not loop.last }}{% endfor %})
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT '{{ metric.title_zh }}'
