-- Rows of the days published within the last day that cannot be right: a negative figure, a part larger than its whole, or an empty text
-- where the view should have said that it is unknown.
SELECT {% for column in metric.columns %}`{{ column.name }}`{{ ", " if not loop.last }}{% endfor %} FROM `{{ metric.name }}`
WHERE `day` IN (SELECT `day` FROM `publication` WHERE `metric` = '{{ metric.name }}' AND `published_at` >= UTC_TIMESTAMP(3) + INTERVAL 8 HOUR - INTERVAL 1 DAY)
AND (
{% for column in metric.columns[1:] %}
  {% if column.is_text %}`{{ column.name }}` = ''{% elif column.at_most %}`{{ column.name }}` NOT BETWEEN 0 AND `{{ column.at_most }}`{% else %}`{{ column.name }}` < 0{% endif %}
{% if not loop.last %} OR {% endif %}

{% endfor %}
)
