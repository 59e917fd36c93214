-- Puts the links of a day together into one.
INSERT OVERWRITE {{ table }}
SELECT /*+ REPARTITION({{ files }}) */
  '{{ link }}' AS link,
  IF(set_name = '', '', NULL) AS after,
  max(until) AS until,
  set_name,
  cell,
  member,
  sum(messages) AS messages,
  sum(fresh) AS fresh,
  max(latest) AS latest,
  day,
  kind
FROM {{ table }}
WHERE day IN ('{{ days | join("', '") }}') AND link IN ('{{ links | join("', '") }}')
GROUP BY day, kind, set_name, cell, member
