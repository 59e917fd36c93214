-- How many messages some days have: no column is read.
SELECT day, count(*) AS messages
FROM {{ messages }}
WHERE day IN ('{{ days | join("', '") }}')
GROUP BY day
