        -- What stands for the messages: the accounts that sent on each day, each once.
        SELECT {{ "DISTINCT " if new }}day, sender_account
        FROM (
          SELECT CAST(day AS DATE) AS day, member AS sender_account
          FROM {{ table }}
          WHERE (part = 'recent' OR startswith(part, 'member')) AND kind = 'member' AND day <= '{{ last }}' AND link IN ('{{ links | join("', '") }}')
{% if new %}
          UNION ALL
          SELECT day, sender_account FROM ({{ new }})
{% endif %}
        )
