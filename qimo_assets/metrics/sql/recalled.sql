-- What was needed of all messages when the digest was made, and the messages of the days that were written to since.
SELECT day, {{ column }} FROM {{ digest.name }}
{% if digest.changed %}
UNION ALL
SELECT day, {{ column }} FROM {{ messages }} WHERE day IN ('{{ digest.changed | sort | join("', '") }}')
{% endif %}
