-- The commits that the messages of some days stand in. Sums of the hash over a day's messages are far from the greatest number of 64 bits.
SELECT day, _hoodie_commit_time AS instant, count(*) AS messages, xxhash64(_hoodie_commit_time) % 1000000007 AS checksum
FROM {{ messages }}
WHERE day IN ('{{ days | join("', '") }}')
GROUP BY day, _hoodie_commit_time
