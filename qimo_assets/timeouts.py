"""The limits that depend on each other, in their order: each is smaller than the next one of its
chain, and `unit/test_timeouts.py` holds that.

Who waits must wait longer than the one that it waits for takes; otherwise work is broken off that
was about to end well.
"""

from __future__ import annotations

# --- a run that is asked to end

# Between the end that a run reports and that of its process, and between two looks at the processes
# of runs that are over.
LEFTOVER_SECONDS = 15
# A batch under way is let end: broken off, it leaves a rollback to the next run. One of 200,000
# lines took 35 s in the first minute of a JVM.
BATCH_STOP_SECONDS = 60
# Then a table service under way, which may be broken off: the next run does it.
SERVICE_STOP_SECONDS = 30
RUN_STOP_SECONDS = BATCH_STOP_SECONDS + SERVICE_STOP_SECONDS
# The launcher kills the process of a run that did not end.
KILL_AFTER_SECONDS = 120
# `down` waits for the stream, and has it killed when it is over this.
STREAM_STOP_SECONDS = 135
# supervisord kills the code server, whose children the runs are.
CODE_SERVER_STOP_SECONDS = 150
# Dagster calls a run canceled whatever its process does (dagster.yaml).
CANCEL_TIMEOUT_SECONDS = 180
STOP_CHAIN = (
    LEFTOVER_SECONDS,
    BATCH_STOP_SECONDS,
    RUN_STOP_SECONDS,
    KILL_AFTER_SECONDS,
    STREAM_STOP_SECONDS,
    CODE_SERVER_STOP_SECONDS,
    CANCEL_TIMEOUT_SECONDS,
)
# Other runs than the stream's are over in 10 to 20 s; `down` gives them this, and they are tried
# again after the next start.
RUNS_STOP_SECONDS = 30

# --- a stream that stands still, and who waits for it

# The slowest batch seen, of 200,000 lines of 11 days in a cold JVM, took 60 s on a busy machine.
SLOWEST_BATCH_SECONDS = 60
# A live stream that writes nothing for so long while lines wait is ended.
STREAM_STALLED_SECONDS = 300
# `verify --wait` gives up when no number moves: the slowest path is active_user, which rests five
# minutes after a run of about one.
VERIFY_STALLED_SECONDS = 420
# Dagster ends a run of metrics; one takes seconds, a year of days at once minutes.
METRICS_RUN_SECONDS = 1800
# `replay` gives up: the end of a live run, another JVM, and a quarantine of millions of lines.
REPLAY_SECONDS = 3600
STALL_CHAIN = (
    SLOWEST_BATCH_SECONDS,
    STREAM_STALLED_SECONDS,
    VERIFY_STALLED_SECONDS,
    METRICS_RUN_SECONDS,
    REPLAY_SECONDS,
)
