"""What people ask of a running stack, behind `./qimo status`: whether the stream runs, how far
behind lake and MySQL are, which log files are not read, how much disk is left, and what table
services are at.

Each question has a time-out and stands alone: one that gets no answer leaves the others be.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from qimo_assets import probes
from qimo_assets.contract import TIMEZONE
from qimo_assets.errors import QimoError
from qimo_assets.settings import LOOPBACK, LakeSettings, Settings
from qimo_assets.source.files import log_files, what_is_not_read
from qimo_assets.stack import control, health
from qimo_assets.stack.layout import Layout

ASK_SECONDS = 5
STREAM_JOB = "chat_stream"
READER = "finebi_reader"
LAST_RUN = (
    '{ runsOrError(filter: {pipelineName: "' + STREAM_JOB + '"}, limit: 1) '
    "{ ... on Runs { results { runId status startTime endTime } } } }"
)
# An instant's file in a timeline of Hudi 1: requested time, completion time once it is complete,
# what is done, and how far it is while it is not.
INSTANT = re.compile(
    r"(?P<instant>\d{17})(?P<completed>_\d{17})?\.(?P<action>[a-z]+)(\.(?P<state>[a-z]+))?"
)
SERVICES = {"compaction", "clustering", "logcompaction"}
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Stream:
    """The newest run of the live stream.

    Attributes:
        state: Dagster's word for the run's status; NONE before the first.
        running: Whether it writes.
        since: When it began, or when it ended if it does not run; ISO 8601.
        run_id: The run.
    """

    state: str
    running: bool
    since: str | None
    run_id: str | None


@dataclass(frozen=True)
class Lag:
    """How far the lake is behind the topic: lines, and seconds since the oldest of them came."""

    lines: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """How old MySQL is: when a day was last published, and how long ago that was."""

    published_at: str | None
    age_seconds: float | None


@dataclass(frozen=True)
class Disk:
    """The disk of `QIMO_HOME`."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class TableService:
    """A compaction or clustering that is not complete.

    Attributes:
        table: The table.
        operation: What is done.
        state: `inflight` while it is at work, `requested` before.
        age_seconds: Since it was asked for.
    """

    table: str
    operation: str
    state: str
    age_seconds: float


@dataclass(frozen=True)
class Overview:
    """The answers; None where there was none, and then why in `unanswered`.

    Attributes:
        unread: Which log files have lines that wait for too long, and why; empty when none has.
    """

    stream: Stream | None
    lag: Lag | None
    mysql: Figures | None
    unread: str | None
    disk: Disk | None
    table_services: list[TableService] | None
    unanswered: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return it as `status --json` prints it."""
        return asdict(self)


def overview(layout: Layout, settings: Settings) -> Overview:
    """Ask everything at once."""
    questions: dict[str, Callable[[], Any]] = {
        "stream": lambda: stream(layout),
        "lag": lambda: lag(settings),
        "mysql": lambda: figures(layout),
        "unread": lambda: what_is_not_read(log_files(settings.source)),
        "disk": lambda: disk(layout),
        "table_services": lambda: table_services(layout, settings.lake),
    }
    unanswered: dict[str, str] = {}

    def ask(name: str) -> Any:
        try:
            return questions[name]()
        except Exception as error:  # noqa: BLE001  # each client library has exceptions of its own; all mean "no answer"
            unanswered[name] = " ".join(str(error).split())[:200] or type(error).__name__
            return None

    with ThreadPoolExecutor(len(questions)) as pool:
        answers = dict(zip(questions, pool.map(ask, questions), strict=True))
    return Overview(**answers, unanswered=unanswered)


def stream(layout: Layout) -> Stream:
    """Ask Dagster for the newest live run."""
    webserver = f"http://{LOOPBACK}:{layout.ports['dagster']}"
    runs = probes.graphql(webserver, LAST_RUN, ASK_SECONDS)["runsOrError"]["results"]
    if not runs:
        return Stream("NONE", False, None, None)
    [run] = runs
    running = run["status"] == "STARTED"
    moment = run["startTime"] if running else run["endTime"] or run["startTime"]
    since = datetime.fromtimestamp(moment, timezone.utc).isoformat() if moment else None
    return Stream(run["status"], running, since, run["runId"])


def lag(settings: Settings) -> Lag:
    """Ask the topic what the lake does not hold yet, and when the oldest of that came."""
    from qimo_assets.resources.kafka import KafkaResource

    kafka = KafkaResource.from_settings(
        settings.kafka.model_copy(update={"timeout_seconds": ASK_SECONDS})
    )
    partitions = kafka.state()
    waiting = kafka.waiting_since(partitions)
    seconds = max(time.time() - waiting, 0.0) if waiting else 0.0
    return Lag(sum(item.lag for item in partitions), round(seconds, 1))


def figures(layout: Layout) -> Figures:
    """Ask MySQL when something was last published."""
    with (
        closing(health.mysql_connection(layout, READER)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'qimo_report' AND "
            "table_name = 'publication'"
        )
        if cursor.fetchone() == (0,):
            return Figures(None, None)
        cursor.execute("SELECT max(published_at) FROM qimo_report.publication")
        [newest] = cursor.fetchone()
    if newest is None:
        return Figures(None, None)
    newest = newest.replace(tzinfo=ZoneInfo(TIMEZONE))
    return Figures(newest.isoformat(), round(time.time() - newest.timestamp(), 1))


def disk(layout: Layout) -> Disk:
    """Ask how much room is left where the stack keeps its data."""
    usage = shutil.disk_usage(layout.home)
    return Disk(usage.free, usage.total)


def table_services(layout: Layout, lake: LakeSettings) -> list[TableService]:
    """Ask the tables' timelines for compactions and clusterings that are not complete."""
    directory = f"{urlsplit(lake.warehouse).path}/{lake.database}.db"
    return [
        service
        for table in _names(layout, directory)
        for service in incomplete(
            table, _names(layout, f"{directory}/{table}/.hoodie/timeline"), time.time()
        )
    ]


def incomplete(table: str, files: Iterable[str], now: float) -> list[TableService]:
    """Return the table services of a timeline that are not complete, the oldest first.

    Args:
        table: The table.
        files: Names of the files of its active timeline.
        now: Seconds since the epoch.
    """
    found = [match for name in files if (match := INSTANT.fullmatch(name))]
    complete = {match["instant"] for match in found if match["completed"]}
    open_ones: dict[tuple[str, str], str] = {}
    for match in found:
        instant, action, state = match["instant"], match["action"], match["state"]
        if action in SERVICES and state and instant not in complete:
            place = instant, action
            open_ones[place] = min(open_ones.get(place, state), state)
    return [
        TableService(table, action, state, round(now - _seconds(instant), 1))
        for (instant, action), state in sorted(open_ones.items())
    ]


def _seconds(instant: str) -> float:
    """Return the time of an instant, which is that of the tables' zone in milliseconds."""
    moment = datetime.strptime(instant[:14], "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo(TIMEZONE))
    return moment.timestamp() + int(instant[14:]) / 1000


def _names(layout: Layout, path: str) -> list[str]:
    """Return what stands in a directory of HDFS; nothing where there is none."""
    url = f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1{path}?op=LISTSTATUS"
    try:
        answer = json.loads(probes.http(url, ASK_SECONDS))
    except probes.ProbeError as error:
        if error.status == probes.NOT_FOUND:
            return []
        raise
    return [item["pathSuffix"] for item in answer["FileStatuses"]["FileStatus"]]


def overall(states: set[str]) -> str:
    """Return the state of a stack by those of its components."""
    if states == {"running"}:
        return "running"
    return "stopped" if states == {"stopped"} else "degraded"


def endpoints(layout: Layout, *, secrets: bool) -> dict[str, str | None]:
    """Return where to connect, as each client takes it."""
    ports = layout.ports
    password = f":{layout.secret('mysql_reader')}" if secrets else ""
    return {
        "log_dir": str(layout.chat),
        "dagster": f"http://{LOOPBACK}:{ports['dagster']}",
        "kafka": layout.bootstrap(),
        "hdfs": f"hdfs://{LOOPBACK}:{ports['namenode']}",
        "hive": f"jdbc:hive2://{LOOPBACK}:{ports['hive']}/qimo",
        "mysql": f"mysql://{READER}{password}@{LOOPBACK}:{ports['mysql']}/qimo_report",
        "report": f"http://{LOOPBACK}:{ports['report']}/",
    }


# --- as people read it


def render(
    state: str,
    components: Iterable[control.Component],
    endpoints: dict[str, str | None],
    now: Overview | None,
) -> str:
    """Return the whole answer of `./qimo status`."""
    found = list(components)
    lines = [
        state,
        "",
        f"{'component':<20}{'state':<11}{'pid':>8}{'port':>8}{'MiB':>7}   version",
        *(
            f"{item.name:<20}{item.state:<11}{item.pid or '':>8}{item.port or '':>8}"
            f"{item.rss_mb or '':>7}   {item.version}  {item.reason}".rstrip()
            for item in found
        ),
        f"{'total memory':<47}{sum(item.rss_mb or 0 for item in found):>7}",
    ]
    if now:
        lines += ["", *(f"{name:<20}{text}" for name, text in described(now).items())]
    reachable = {name: address for name, address in endpoints.items() if address}
    if reachable:
        lines += ["", *(f"{name:<20}{address}" for name, address in reachable.items())]
    return "\n".join(lines)


def described(now: Overview) -> dict[str, str]:
    """Return question -> answer in words."""
    said = {
        "stream": now.stream and _stream_in_words(now.stream),
        "lake behind topic": now.lag
        and f"{now.lag.lines:,} lines, the oldest {duration(now.lag.seconds)} old",
        "MySQL published": now.mysql
        and (
            "nothing yet"
            if now.mysql.age_seconds is None
            else f"{duration(now.mysql.age_seconds)} ago ({now.mysql.published_at})"
        ),
        "log files": None if now.unread is None else now.unread or "all are read",
        "disk left": now.disk
        and f"{now.disk.free_bytes / 2**30:,.1f} of {now.disk.total_bytes / 2**30:,.1f} GiB",
        "table services": None
        if now.table_services is None
        else ", ".join(
            f"{item.operation} of {item.table} {'under way' if item.state == 'inflight' else 'due'}"
            f" for {duration(item.age_seconds)}"
            for item in now.table_services
        )
        or "none under way",
    }
    fields = ("stream", "lag", "mysql", "unread", "disk", "table_services")
    return {
        name: text or f"not known: {now.unanswered.get(field, '')}"
        for (name, text), field in zip(said.items(), fields, strict=True)
    }


def _stream_in_words(found: Stream) -> str:
    if found.state == "NONE":
        return "has not run yet"
    word = "runs" if found.running else f"does not run ({found.state})"
    return f"{word} since {found.since}, run {found.run_id}" if found.since else word


def duration(seconds: float) -> str:
    """Return a duration in the two largest units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < DAY_SECONDS:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // DAY_SECONDS} d {whole % DAY_SECONDS // 3600} h"


def service_log(layout: Layout, service: str | None) -> list[str]:
    """Return the paths of the logs that are meant.

    Args:
        layout: The stack.
        service: Name of a service; None means all that have a log.

    Raises:
        QimoError: There is no such service, or it has no log yet.
    """
    names = [found.name for found in control.services(layout)]
    if service is not None and service not in names:
        raise QimoError(f"There is no service {service}; there are {', '.join(names)}.")
    paths = [layout.log / f"{name}.log" for name in names if service in (None, name)]
    found = [str(path) for path in paths if path.exists()]
    if not found:
        raise QimoError(f"There is no log in {layout.log} yet; ./qimo up starts the services.")
    return found
