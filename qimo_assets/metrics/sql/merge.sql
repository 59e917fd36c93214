-- Puts links of a day together into one. Cells are few and are all written again. A member stands in one link alone: it gets another name.
-- Links that follow others stand in the recent part alone: no other is read for them.
{% set body = "'recent'" if number is none else "kind" if number == 0 else "concat(kind, '" ~ number ~ "')" %}
INSERT OVERWRITE {{ table }}
SELECT /*+ REPARTITION({{ files }}) */ link, after, until, commits, set_name, cell, member, messages, fresh, latest, kind, hash, other_hash, day, part
FROM (
  SELECT
    '{{ link.name }}' AS link, '{{ link.after }}' AS after, '{{ link.until }}' AS until, {{ link.commits }}L AS commits, NULL AS set_name,
    '{{ link.catalog }}' AS cell, NULL AS member, {{ link.messages }}L AS messages, NULL AS fresh, NULL AS latest, 'link' AS kind,
    NULL AS hash, NULL AS other_hash,
    '{{ day }}' AS day, 'recent' AS part
{% if before %}
  UNION ALL
  SELECT link, after, until, commits, set_name, cell, member, messages, fresh, latest, kind, hash, other_hash, day, part
  FROM {{ table }}
  WHERE day = '{{ day }}' AND part = 'recent' AND link IN ('{{ before | join("', '") }}')
{% endif %}
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, cell, NULL, sum(messages), sum(fresh), NULL, kind, NULL, NULL, day, {{ body }}
  FROM {{ table }}
  WHERE day = '{{ day }}' AND (part = 'recent'{{ " OR startswith(part, 'cell')" if not before }}) AND kind = 'cell' AND link IN ('{{ links | join("', '") }}')
  GROUP BY day, kind, set_name, cell
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, NULL, member, sum(messages), NULL, max(latest), kind, NULL, NULL, day, {{ body }}
  FROM {{ table }}
  WHERE day = '{{ day }}' AND (part = 'recent'{{ " OR startswith(part, 'partial')" if not before }}) AND kind = 'partial' AND link IN ('{{ links | join("', '") }}')
  GROUP BY day, kind, set_name, member
  UNION ALL
  SELECT '{{ link.name }}', NULL, NULL, NULL, set_name, cell, member, messages, fresh, NULL, kind, hash, other_hash, day, {{ body }}
  FROM {{ table }}
  WHERE day = '{{ day }}' AND (part = 'recent'{{ " OR startswith(part, 'member')" if not before }}) AND kind = 'member' AND link IN ('{{ links | join("', '") }}')
)
