-- What messages add to the metrics of their day: how many of them each member of each cell has. They are read once for all metrics.
SELECT
  day, set_name, cell, member, count(*) AS messages, max(latest) AS latest,
  -- By both together a known member is found: reading the texts of a day's members takes three times as long.
  IF(member IS NULL, NULL, xxhash64(day, set_name, cell, member)) AS hash,
  IF(member IS NULL, NULL, xxhash64(member, cell, set_name, day)) AS other_hash
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
