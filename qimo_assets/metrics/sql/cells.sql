-- The figures of some days: messages and distinct members of each cell.
SELECT day, set_name, cell, sum(messages) AS messages, sum(fresh) AS members
FROM {{ rows }}
WHERE (part = 'recent' OR startswith(part, 'cell')) AND kind = 'cell' AND day IN ('{{ days | join("', '") }}') AND link IN ('{{ links | join("', '") }}')
GROUP BY day, set_name, cell
