        -- What stands for the messages: the accounts that sent on each day.
        SELECT CAST(day AS DATE) AS day, member AS sender_account
        FROM {{ table }}
        WHERE kind = 'account' AND set_name = '{{ name }}' AND day <= '{{ last }}'{{ " AND link NOT IN ('" ~ (left_out | join("', '")) ~ "')" if left_out }}
