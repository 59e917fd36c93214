-- The messages of some days, and those of them that were committed after those that are counted.
-- Only where the others are as many and of the same commits as were counted were messages only added since.
SELECT
  day,
  count(*) AS messages,
  count_if(is_new) AS new,
  max(commit) AS newest,
  sum(checksum) AS commits,
  sum(IF(is_new, 0, checksum)) AS old_commits
FROM (
  SELECT
    day,
    _hoodie_commit_time AS commit,
    {{ checksum }} AS checksum,
    _hoodie_commit_time > CASE day{% for day, until in untils.items() %} WHEN '{{ day }}' THEN '{{ until }}'{% endfor %} END AS is_new
  FROM {{ messages }}
  WHERE day IN ('{{ untils | join("', '") }}')
)
GROUP BY day
