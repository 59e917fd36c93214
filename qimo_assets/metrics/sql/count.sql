-- Adds a link to some days: the figures of the messages given, each member once in all links of a day.
{% macro facts() %}
{% for set in sets %}
    SELECT CAST(day AS STRING) AS day, '{{ set.name }}' AS set_name, {{ set.cell }} AS cell, member, messages
    FROM (
      SELECT {{ set.columns | join(", ") }}, {{ set.member }} AS member, count(*) AS messages
      FROM (
{{ set.facts }}
      )
      GROUP BY ALL
    )
{% if not loop.last %}
    UNION ALL
{% endif %}
{% endfor %}
{% endmacro %}
INSERT INTO {{ table }}
SELECT /*+ REPARTITION({{ files }}) */ link, after, until, set_name, cell, member, messages, fresh, latest, day, kind
FROM (
  SELECT
    '{{ link }}' AS link, after, until, '' AS set_name, '{{ catalog }}' AS cell, NULL AS member, messages, NULL AS fresh, NULL AS latest, day, 'cell' AS kind
  FROM VALUES
{% for count in counts %}
    ('{{ count.day }}', '{{ count.after }}', '{{ count.until }}', {{ count.messages }}L){{ "," if not loop.last }}
{% endfor %}
    AS counted (day, after, until, messages)
  UNION ALL
  SELECT
    '{{ link }}', NULL, NULL, set_name, cell, member, messages, fresh, NULL, day, CASE WHEN is_cell THEN 'cell' WHEN set_name = '{{ accounts }}' THEN 'account' ELSE 'member' END
  FROM (
    SELECT day, set_name, cell, member, sum(messages) AS messages, sum(fresh) AS fresh, grouping(member) = 1 AS is_cell
    FROM (
{% if known %}
      SELECT {{ "/*+ BROADCAST(k) */" if small }} f.*, IF(f.member IS NOT NULL AND k.member IS NULL, 1, 0) AS fresh
      FROM (
{{ facts() }}
      ) f
      LEFT JOIN (
        SELECT {{ "/*+ BROADCAST(f) */" if small }} day, set_name, cell, member
        FROM {{ table }}
        LEFT SEMI JOIN (
{{ facts() }}
        ) f USING (day, set_name, cell, member)
        WHERE kind IN ('account', 'member') AND day IN ('{{ days | join("', '") }}') AND link IN ('{{ known | join("', '") }}')
      ) k
      ON k.day = f.day AND k.set_name = f.set_name AND k.cell = f.cell AND k.member = f.member
{% else %}
      SELECT *, IF(member IS NULL, 0, 1) AS fresh
      FROM (
{{ facts() }}
      )
{% endif %}
    )
    GROUP BY GROUPING SETS ((day, set_name, cell, member), (day, set_name, cell))
  )
  WHERE is_cell OR fresh > 0
{% for top in tops %}
  UNION ALL
  SELECT '{{ link }}', NULL, NULL, '{{ top.name }}', NULL, concat_ws('\u0001', account, coalesce(nickname, '')), messages, NULL, latest, CAST(day AS STRING), 'top'
  FROM (
{{ top.partial }}
  )
{% endfor %}
)
