-- The rows of a new link of some days: what their new messages add to the metrics, each member once in all links of a day.
SELECT /*+ REPARTITION({{ files }}) */ concat('{{ stem }}-', day) AS link, after, until, commits, set_name, cell, member, messages, fresh, latest, kind, hash, other_hash, day, IF(kind = 'link'{{ " OR day IN ('" ~ (recent | join("', '")) ~ "')" if recent }}, 'recent', kind) AS part
FROM (
  SELECT after, until, commits, NULL AS set_name, '{{ catalog }}' AS cell, NULL AS member, messages, NULL AS fresh, NULL AS latest, 'link' AS kind, NULL AS hash, NULL AS other_hash, day
  FROM VALUES
{% for count in counts %}
    ('{{ count.day }}', '{{ count.after }}', '{{ count.until }}', {{ count.messages }}L, {{ count.commits }}L){{ "," if not loop.last }}
{% endfor %}
    AS counted (day, after, until, messages, commits)
  UNION ALL
  SELECT
    NULL, NULL, NULL, set_name, cell, member, messages, fresh, latest,
    CASE WHEN is_cell THEN 'cell' WHEN is_partial THEN 'partial' ELSE 'member' END,
    hash, other_hash,
    day
  FROM (
    SELECT
      day, set_name, cell, member,
      sum(messages) AS messages, sum(fresh) AS fresh, max(latest) AS latest,
      IF(grouping(member) = 1, NULL, max(hash)) AS hash,
      IF(grouping(member) = 1, NULL, max(other_hash)) AS other_hash,
      grouping(member) = 1 AS is_cell,
      set_name IN ('{{ partials | join("', '") }}') AS is_partial
    FROM (
{% if known %}
      SELECT {{ "/*+ BROADCAST(k) */" if small }} f.*, IF(f.hash IS NOT NULL AND k.hash IS NULL, 1, 0) AS fresh
      FROM ({{ facts }}) f
      LEFT JOIN (
        -- Each once: a member that stood twice would double the messages of its cell. Links are asked of what was found: asked of millions of rows
        -- before, they take longer than the search. One number finds faster than two; both are held against each other below.
        SELECT {{ "/*+ BROADCAST(f) */" if small }} hash, other_hash
        FROM {{ table }}
        LEFT SEMI JOIN ({{ facts }}) f USING (hash)
        WHERE (part = 'recent' OR startswith(part, 'member')) AND day IN ('{{ days | join("', '") }}')
        GROUP BY hash, other_hash
        HAVING bool_or(kind = 'member' AND link IN ('{{ known | join("', '") }}'))
      ) k
      ON k.hash = f.hash AND k.other_hash = f.other_hash
{% else %}
      SELECT *, IF(member IS NULL, 0, 1) AS fresh
      FROM ({{ facts }})
{% endif %}
    )
    GROUP BY GROUPING SETS ((day, set_name, cell, member), (day, set_name, cell))
  )
  WHERE IF(is_partial, NOT is_cell, is_cell OR fresh > 0)
)
