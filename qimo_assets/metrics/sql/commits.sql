-- The commits of a day's messages, for a day that is counted in steps.
SELECT _hoodie_commit_time AS commit, count(*) AS messages, sum({{ checksum }}) AS commits
FROM {{ messages }}
WHERE day = '{{ count.day }}' AND _hoodie_commit_time > '{{ count.since }}' AND _hoodie_commit_time <= '{{ count.until }}'
GROUP BY _hoodie_commit_time
ORDER BY _hoodie_commit_time
