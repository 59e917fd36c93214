      -- What stands for the messages: how often each account had each nickname.
      SELECT CAST(day AS DATE) AS day, element_at(split(member, '\u0001'), 1) AS account, element_at(split(member, '\u0001'), 2) AS nickname, latest, messages
      FROM {{ table }}
      WHERE kind = 'top' AND set_name = '{{ name }}' AND day IN ('{{ days | join("', '") }}') AND link IN ('{{ links | join("', '") }}')
