        -- What stands for the messages: the accounts that sent on each day.
        SELECT CAST(day AS DATE) AS day, member AS sender_account
        FROM {{ table }}
        WHERE kind IN ('account', 'new_account') AND set_name = '{{ name }}' AND day <= '{{ last }}' AND link IN ('{{ links | join("', '") }}')
