-- How many messages some days have, and the newest commit of each.
SELECT day, count(*) AS messages, max(_hoodie_commit_time) AS newest
FROM {{ messages }}
WHERE day IN ('{{ days | join("', '") }}')
GROUP BY day
