-- The links of days.
SELECT day, link, after, until, messages, commits, cell AS catalog
FROM {{ table }}
WHERE part = 'recent' AND kind = 'link'{{ " AND day IN ('" ~ (days | join("', '")) ~ "')" if days }}
