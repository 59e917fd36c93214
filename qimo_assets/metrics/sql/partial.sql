      -- What stands for the messages: those that are counted already.
      SELECT
        CAST(day AS DATE) AS day,
{% for name, type in columns %}
        {{ "latest" if name == "latest" else "CAST(nullif(element_at(split(member, '" ~ separator ~ "'), " ~ loop.index ~ "), '') AS " ~ type ~ ") AS " ~ name }},
{% endfor %}
        messages
      FROM (
        -- Each once: a text is taken apart, and sorted by the view, as often as it stands here.
        SELECT day, member, {{ "max(latest) AS latest, " if "latest" in (columns | map("first") | list) }}sum(messages) AS messages
        FROM {{ rows }}
        WHERE (part = 'recent' OR startswith(part, 'partial')) AND kind = 'partial' AND set_name = '{{ name }}' AND day IN ('{{ days | join("', '") }}') AND link IN ('{{ links | join("', '") }}')
        GROUP BY day, member
      )
