#!/bin/sh
# Question: do the keys of hourly partitions have the format that was given, also in the night in which clocks go back?
# Versions: dagster 1.13.27.
# Behaviour: the second of two equal hours gets a UTC offset behind the format, so that parsing a key by its own format fails for one
#   hour a year in zones with summer time. In spring the hour that does not exist is no key, as it should be.
# Seen: 2026-11-01-01:00 2026-11-01-01:00-0500; 25 keys of that day, 24 different ones by the format
# So: parse keys with the partition definition (time_window_for_partition_key), never with strptime.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dagster==1.13.27
"$work/venv/bin/python" - <<'PY'
from datetime import datetime

import dagster as dg

hours = dg.HourlyPartitionsDefinition("2026-11-01-00:00", "2026-11-02-00:00", timezone="America/New_York")
keys = hours.get_partition_keys()
doubled = [key for key in keys if key.startswith("2026-11-01-01")]
print(*doubled, len(keys))
assert doubled == ["2026-11-01-01:00", "2026-11-01-01:00-0500"], doubled
assert len(keys) == 25, keys
try:
    datetime.strptime(doubled[1], hours.fmt)
except ValueError:
    pass
else:
    raise AssertionError("the key has the format")
PY
