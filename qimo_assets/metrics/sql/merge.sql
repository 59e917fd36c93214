-- Puts links of a day together into one. Cells are few and are all written again. An account or a member stands in one link alone: it gets another name.
INSERT OVERWRITE {{ table }}
SELECT /*+ REPARTITION({{ files }}) */ link, after, until, commits, set_name, cell, member, messages, fresh, latest, day, kind
FROM (
  SELECT
    '{{ link.name }}' AS link, '{{ link.after }}' AS after, '{{ link.until }}' AS until, {{ link.commits }}L AS commits, '' AS set_name,
    '{{ link.catalog }}' AS cell, NULL AS member, {{ link.messages }}L AS messages, NULL AS fresh, NULL AS latest, '{{ day }}' AS day, 'cell' AS kind
{% if root %}
  UNION ALL
  SELECT link, after, until, commits, set_name, cell, member, messages, fresh, latest, day, kind
  FROM {{ table }}
  WHERE day = '{{ day }}' AND kind = 'cell' AND link = '{{ root }}'
{% endif %}
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, cell, NULL, sum(messages), sum(fresh), NULL, day, kind
  FROM {{ table }}
  WHERE day = '{{ day }}' AND kind = 'cell' AND set_name <> '' AND link IN ('{{ links | join("', '") }}')
  GROUP BY day, kind, set_name, cell
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, NULL, member, sum(messages), NULL, max(latest), day, '{{ prefix }}partial'
  FROM {{ table }}
  WHERE day = '{{ day }}' AND kind IN ('partial', 'new_partial') AND link IN ('{{ links | join("', '") }}')
  GROUP BY day, set_name, member
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, cell, member, messages, fresh, NULL, day, concat('{{ prefix }}', replace(kind, 'new_', ''))
  FROM {{ table }}
  WHERE day = '{{ day }}' AND kind IN ('account', 'new_account', 'member', 'new_member') AND link IN ('{{ links | join("', '") }}')
)
