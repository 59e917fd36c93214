-- How many accounts that sent on a day are not counted, or are counted and did not send.
SELECT count(*) AS accounts
FROM (SELECT DISTINCT sender_account AS account FROM ({{ messages }})) AS sent
FULL OUTER JOIN (
  SELECT member AS account
  FROM {{ table }}
  WHERE (part = 'recent' OR startswith(part, 'member')) AND kind = 'member' AND day = '{{ day }}' AND link IN ('{{ links | join("', '") }}')
) AS counted
ON sent.account = counted.account
WHERE sent.account IS NULL OR counted.account IS NULL
