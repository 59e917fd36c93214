-- Adds links.
INSERT INTO {{ table }}
{{ rows }}
