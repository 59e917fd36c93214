-- What the figures of some days are made from: the messages of the days around them, and of all days before only the first of each {{ column }}.
SELECT DISTINCT day, {{ column }} FROM {{ messages }} WHERE day >= '{{ first }}'{{ " AND day <= '" ~ last ~ "'" if last }}
UNION ALL
-- As a date: Spark cannot hash where the least of texts is looked for, and sorts all messages (7.7 s instead of 2.8 for 9 million).
SELECT CAST(min(CAST(day AS DATE)) AS STRING) AS day, {{ column }} FROM {{ messages }} WHERE day < '{{ first }}' GROUP BY {{ column }}
