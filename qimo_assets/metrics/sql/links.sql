-- The links of some days, and how many messages each counted.
SELECT day, link, after, until, messages, cell AS catalog
FROM {{ table }}
WHERE kind = 'cell' AND set_name = '' AND day IN ('{{ days | join("', '") }}')
