#!/bin/sh
# Question: how often does a sensor tick whose minimum interval is as long as the pause of Dagster's sensor daemon?
# Versions: dagster 1.13.27.
# Behaviour: the daemon looks each 5 s and takes that long from the start of one look to the start of the next, a few milliseconds more or
#   less; a tick whose interval is not quite over waits for the next look. So a sensor with an interval of 5 s ticks after 10 s now and
#   then or each time, and one with 4 s never does. The same holds for each multiple of 5: 10 s becomes 15.
# Seen: seconds between ticks in 90 s: with 4 s at most 5, with 5 s at most 10
# So: for "at each look" ask for less than 5 s.
set -eu
work=$(mktemp -d)
daemon=''
trap 'test -z "$daemon" || { kill "$daemon"; wait "$daemon" || true; } 2>/dev/null; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dagster==1.13.27
export DAGSTER_HOME="$work/home"
mkdir "$DAGSTER_HOME"
cat > "$work/ticking.py" <<'PY'
import dagster as dg

ON = dg.DefaultSensorStatus.RUNNING


@dg.op
def nothing(): ...


@dg.job
def idle():
    nothing()


@dg.sensor(job=idle, minimum_interval_seconds=4, default_status=ON)
def of_4_seconds():
    return dg.SkipReason("nothing to do")


@dg.sensor(job=idle, minimum_interval_seconds=5, default_status=ON)
def of_5_seconds():
    return dg.SkipReason("nothing to do")


defs = dg.Definitions(jobs=[idle], sensors=[of_4_seconds, of_5_seconds])
PY
cd "$work"
"$work/venv/bin/dagster-daemon" run -m ticking >"$work/log" 2>&1 &
daemon=$!
sleep 100
"$work/venv/bin/python" - <<'PY'
import dagster as dg

longest = {}
with dg.DagsterInstance.get() as instance:
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        times = sorted(tick.timestamp for tick in ticks)
        # The first looks load the code.
        gaps = [after - before for before, after in zip(times[1:], times[2:])]
        longest[state.instigator_name] = max(gaps)
print({name: round(seconds, 1) for name, seconds in sorted(longest.items())})
assert longest["of_4_seconds"] < 7, longest
assert longest["of_5_seconds"] > 9, longest
PY
