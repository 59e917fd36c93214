#!/bin/sh
# Question: which moment does HiveServer2 get when a query's parameter is a datetime with a time zone?
# Versions: PyHive 0.7.0, the newest on PyPI.
# Behaviour: the zone is dropped and the clock time is sent as it stands, so a server whose session is in another zone compares with
#   another moment. An empty list, as of a filter that nothing matches, becomes "()", which no SQL dialect takes.
# Seen: '2026-11-01 08:00:00.000000' for 08:00 UTC and for 08:00 in Shanghai; ()
# So: convert to the session's zone before the call, and handle the empty list in Python.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet PyHive==0.7.0 thrift==0.22.0 tzdata==2025.2
"$work/venv/bin/python" - <<'PY'
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from pyhive.hive import HiveParamEscaper

escape = HiveParamEscaper().escape_item
texts = [
    escape(datetime(2026, 11, 1, 8, tzinfo=zone))
    for zone in (timezone.utc, ZoneInfo("Asia/Shanghai"))
]
print(*texts, escape([]))
assert texts == ["'2026-11-01 08:00:00.000000'"] * 2, texts
assert escape([]) == "()", escape([])
PY
