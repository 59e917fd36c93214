-- What messages add to the metrics of their day: how many of them each member of each cell has. They are read once for all metrics.
SELECT day, set_name, cell, member, count(*) AS messages, max(latest) AS latest
FROM (
  SELECT
    CAST(day AS STRING) AS day,
    inline(array(
{% for set in sets %}
      struct('{{ set.name }}' AS set_name, {{ set.cell }} AS cell, {{ set.member }} AS member, {{ set.latest }} AS latest){{ "," if not loop.last }}
{% endfor %}
    ))
  FROM (
    SELECT
      day,
{% for name, columns in facts.items() %}
      struct({{ columns }}) AS {{ name }}{{ "," if not loop.last }}
{% endfor %}
    FROM ({{ messages }})
  )
)
GROUP BY day, set_name, cell, member
