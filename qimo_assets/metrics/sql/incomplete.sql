-- Days of which the table does not hold what was published within the last day, and days whose total is published long since and this metric is not.
SELECT p.`day`, p.`row_count` AS published, (SELECT count(*) FROM `{{ metric.name }}` AS m WHERE m.`day` = p.`day`) AS present
FROM `publication` AS p
WHERE p.`metric` = '{{ metric.name }}' AND p.`published_at` >= UTC_TIMESTAMP(3) + INTERVAL 8 HOUR - INTERVAL 1 DAY
HAVING published <> present
UNION ALL
SELECT t.`day`, NULL, 0
FROM `publication` AS t
LEFT JOIN `publication` AS p ON p.`metric` = '{{ metric.name }}' AND p.`day` = t.`day`
WHERE t.`metric` = '{{ total }}' AND p.`day` IS NULL
AND t.`published_at` BETWEEN UTC_TIMESTAMP(3) + INTERVAL 8 HOUR - INTERVAL 1 DAY AND UTC_TIMESTAMP(3) + INTERVAL 8 HOUR - INTERVAL {{ metric.fail_minutes }} MINUTE
ORDER BY `day`
