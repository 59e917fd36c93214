-- How many messages some days have, and how many were committed after those that are counted.
-- Only where both add up were messages only added since: one that was deleted or written again is missing in the first or once too often in the second.
SELECT day, count(*) AS messages, count_if(_hoodie_commit_time > until) AS new, max(_hoodie_commit_time) AS newest
FROM (
  SELECT
    day,
    _hoodie_commit_time,
    CASE day{% for day, until in untils.items() %} WHEN '{{ day }}' THEN '{{ until }}'{% endfor %} END AS until
  FROM {{ messages }}
  WHERE day IN ('{{ untils | join("', '") }}')
)
GROUP BY day
