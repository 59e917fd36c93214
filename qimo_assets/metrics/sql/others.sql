-- Members of all cells of some days but those that are told apart.
SELECT day, count(DISTINCT member) AS members
FROM {{ rows }}
WHERE (part = 'recent' OR startswith(part, 'member')) AND kind = 'member' AND set_name = '{{ name }}' AND link IN ('{{ links | join("', '") }}') AND (
{% for day in days %}
  day = '{{ day }}' AND cell NOT IN %({{ day }})s{{ " OR" if not loop.last }}
{% endfor %}
)
GROUP BY day
