-- Days of a metric published within the last day from the same instant as their total: other days cannot be compared.
SELECT
  p.`day`,
  (SELECT coalesce(sum(`messages`), 0) FROM `{{ total }}` WHERE `day` = p.`day`) AS expected,
  (SELECT coalesce(sum(`messages`), 0) FROM `{{ metric }}` WHERE `day` = p.`day`) AS actual
FROM `publication` AS p
JOIN `publication` AS t ON t.`metric` = '{{ total }}' AND t.`day` = p.`day` AND t.`source_instant` = p.`source_instant`
WHERE p.`metric` = '{{ metric }}' AND p.`published_at` >= UTC_TIMESTAMP(3) + INTERVAL 8 HOUR - INTERVAL 1 DAY
ORDER BY p.`day`
