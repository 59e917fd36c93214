(
  -- The rows of links: those of the table, and those that are not written.
{% for table in tables %}
  SELECT link, set_name, cell, member, messages, fresh, latest, kind, day, part FROM {{ table }}{{ " UNION ALL" if not loop.last }}
{% endfor %}
)
