-- Removes parts of a day that no link has any more.
ALTER TABLE {{ table }} DROP IF EXISTS
{% for number in numbers %}
{% for kind in ("cell", "partial", "member") %}
  PARTITION (day = '{{ day }}', part = '{{ kind }}{{ number or "" }}'){{ "," if not loop.last }}
{% endfor %}{{ "," if not loop.last }}
{% endfor %}
