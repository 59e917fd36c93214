-- The links of days.
SELECT day, link, after, until, messages, commits, cell AS catalog
FROM {{ table }}
WHERE kind = 'cell' AND set_name = ''{{ " AND day IN ('" ~ (days | join("', '")) ~ "')" if days }}
