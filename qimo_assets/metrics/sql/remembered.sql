-- What the figures of some days are made from: the messages of the days around them, and of all days before only the first of each {{ column }}.
CREATE OR REPLACE TEMPORARY VIEW {{ name }} AS
SELECT day, {{ column }} FROM {{ messages }} WHERE day BETWEEN '{{ first }}' AND '{{ last }}'
UNION ALL
SELECT min(day) AS day, {{ column }} FROM {{ messages }} WHERE day < '{{ first }}' GROUP BY {{ column }}
