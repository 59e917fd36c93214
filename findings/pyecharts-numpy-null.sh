#!/bin/sh
# Question: what does pyecharts draw when the figures come from numpy or pandas, as query results do?
# Versions: pyecharts 2.1.0, numpy 2.2.6.
# Behaviour: numpy integers are written as null, without an error or a warning, so the chart shows no value; Decimal, which
#   database drivers give, and Python's own int arrive; a NaN becomes null as well. A bar whose item has the value None loses it.
# Seen: [1, null, 2.5, null]
# So: turn every figure into Python's int or float before it is handed to a chart.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyecharts==2.1.0 numpy==2.2.6
"$work/venv/bin/python" - <<'PY'
import json
from decimal import Decimal

import numpy
from pyecharts.charts import Bar

values = [1, numpy.int64(3), Decimal("2.5"), float("nan")]
bar = Bar().add_xaxis(list("abcd")).add_yaxis("messages", values)
drawn = json.loads(bar.dump_options_with_quotes())["series"][0]["data"]
print(json.dumps(drawn))
assert drawn == [1, None, 2.5, None], drawn
PY
