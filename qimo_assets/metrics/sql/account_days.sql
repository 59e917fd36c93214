        -- What stands for the messages: the accounts that sent on each day.
        SELECT CAST(day AS DATE) AS day, member AS sender_account
        FROM {{ table }}
        WHERE part IN ('recent', 'account') AND kind = 'account' AND set_name = '{{ name }}' AND day <= '{{ last }}' AND link IN ('{{ links | join("', '") }}')
