"""What works of the settings: each endpoint is asked a real question, with a time-out, and what it
answers is told without any secret.

It changes nothing but a temporary table in MySQL, and knows neither whether the stack is the
embedded one nor what the assets are.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from xml.sax.saxutils import escape

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from pydantic import BaseModel, SecretStr

from qimo_assets import probes
from qimo_assets.clients import librdkafka_options
from qimo_assets.errors import QimoError
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import MySQLSettings, Settings, no_kerberos
from qimo_assets.source.files import log_files, what_is_not_read
from qimo_assets.source.links import log_paths, most_files
from qimo_assets.stack.java import JAVA_VERSION, java_home, java_version

ASK_SECONDS = 10
# The first query of a server that has just started loads its classes: 20 s were seen on two busy
# processors.
QUERY_SECONDS = 60
# A JVM has to start for it, and Hadoop's client tries a name node that is away for long.
WAREHOUSE_SECONDS = 90
# No question takes as long, unless a library passes over its time-out.
QUESTION_SECONDS = 120
MAX_SHOWN = 400
SHELL = "org.apache.hadoop.fs.FsShell"
REGION_DATABASES = ("ip2region/ip2region.xdb", "ip2region/ipv6wry.db")


class Wrong(QimoError):
    """What was found is not right; the message says what it is."""


@dataclass(frozen=True)
class Question:
    """Something that has to work.

    Attributes:
        name: What is asked.
        ask: Asks it and returns what was found; raises when it does not work.
        advice: What to do when it does not.
    """

    name: str
    ask: Callable[[Settings], str]
    advice: str


@dataclass(frozen=True)
class Answer:
    """What became of a question.

    Attributes:
        name: What was asked.
        ok: Whether it works.
        seconds: How long it took.
        found: What was found, or why it does not work.
        advice: What to do; empty when it works.
    """

    name: str
    ok: bool
    seconds: float
    found: str
    advice: str


def examine(settings: Settings, seconds: float = QUESTION_SECONDS) -> list[Answer]:
    """Ask all questions at once and return the answers in their order.

    Args:
        settings: The platform's settings.
        seconds: After so many a question is given up.
    """
    began = time.monotonic()
    futures = [(question, _ask_beside(question, settings)) for question in QUESTIONS]
    return [_answer(question, future, began, seconds, settings) for question, future in futures]


def as_dict(answers: list[Answer]) -> dict[str, Any]:
    """Return the answers as `doctor --json` prints them."""
    return {
        "ok": all(answer.ok for answer in answers),
        "questions": [asdict(answer) for answer in answers],
    }


def render(answers: list[Answer]) -> str:
    """Return the answers as people read them."""
    lines: list[str] = []
    for answer in answers:
        lines.append(f"{'ok  ' if answer.ok else 'FAIL'} {answer.name:<20} {answer.found}")
        if answer.advice:
            lines.append(f"{'':<26}{answer.advice}")
    failed = sum(not answer.ok for answer in answers)
    return "\n".join([*lines, f"{len(answers) - failed} of {len(answers)} work."])


def _ask_beside(question: Question, settings: Settings) -> Future[tuple[str, float]]:
    """Ask in a thread that nobody has to wait for: a library that hangs must not keep the command
    from ending.
    """
    future: Future[tuple[str, float]] = Future()

    def ask() -> None:
        began = time.monotonic()
        try:
            future.set_result((question.ask(settings), time.monotonic() - began))
        except BaseException as error:  # noqa: BLE001  # each client library has exceptions of its own; the asker hears of all of them
            future.set_exception(error)

    Thread(target=ask, daemon=True).start()
    return future


def _answer(
    question: Question,
    future: Future[tuple[str, float]],
    began: float,
    seconds: float,
    settings: Settings,
) -> Answer:
    try:
        found, spent = future.result(timeout=max(began + seconds - time.monotonic(), 0))
        return Answer(question.name, True, round(spent, 1), without_secrets(found, settings), "")
    except TimeoutError as error:
        found = str(error) if future.done() else f"no answer within {seconds:.0f} s"
    except Exception as error:  # noqa: BLE001  # as above
        found = str(error) or type(error).__name__
    return Answer(
        question.name,
        False,
        round(time.monotonic() - began, 1),
        _short(without_secrets(found, settings)),
        question.advice,
    )


def without_secrets(text: str, settings: BaseModel) -> str:
    """Return a text in which every secret of the settings that a library may have repeated is
    asterisks.
    """
    for secret in sorted(secrets_of(settings), key=len, reverse=True):
        text = text.replace(secret, "********")
    return text


def secrets_of(value: object) -> set[str]:
    """Return every secret in settings, wherever it stands."""
    if isinstance(value, SecretStr):
        return {value.get_secret_value()} - {""}
    if isinstance(value, BaseModel):
        return {
            secret
            for name in type(value).model_fields
            for secret in secrets_of(getattr(value, name))
        }
    return (
        {secret for item in value.values() for secret in secrets_of(item)}
        if isinstance(value, Mapping)
        else set()
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."


# --- the questions


def _source(settings: Settings) -> str:
    source = settings.source
    if not source.log_dir.is_dir():
        raise Wrong(f"there is no directory {source.log_dir}")
    if source.link_dir.exists() and source.link_dir.stat().st_dev != source.log_dir.stat().st_dev:
        raise Wrong(
            f"{source.link_dir} is on another file system than {source.log_dir}, so that "
            "no hard link can be made"
        )
    paths = log_paths(source.log_dir, re.compile(source.file_pattern)).values()
    if closed := [path.name for path in paths if not os.access(path, os.R_OK)]:
        raise Wrong(
            f"{len(closed)} of {len(paths)} log files cannot be read, {closed[0]!r} among them"
        )
    files, most = log_files(source), most_files()
    if most is not None and len(files) > most:
        raise Wrong(
            f"there are {len(files)} log files, and the agent can hold {most} open where its limit "
            "is this process's (ulimit -Hn)"
        )
    if unread := what_is_not_read(files):
        raise Wrong(unread)
    return f"{source.log_dir}: {len(files)} log files"


def _java(settings: Settings) -> str:
    home = settings.spark.java_home or java_home()
    version = java_version(home)
    if version is None:
        raise Wrong(f"there is no Java in {home}")
    if version != JAVA_VERSION:
        raise Wrong(f"Java {version} is in {home}; {JAVA_VERSION} is needed")
    if settings.needs_kerberos and (said := no_kerberos(home)):
        raise Wrong(said)
    return f"Java {version} in {home}"


def _region_database(settings: Settings) -> str:
    jar = settings.lake.ip2region_jar
    with zipfile.ZipFile(jar) as archive:
        size = sum(archive.getinfo(name).file_size for name in REGION_DATABASES)
    return f"{jar.name} with {size:,} bytes of regions"


def _kafka(settings: Settings) -> str:
    kafka = settings.kafka
    admin = AdminClient(
        {**librdkafka_options(kafka), "socket.connection.setup.timeout.ms": ASK_SECONDS * 1000}
    )
    described = admin.describe_topics(
        TopicCollection([kafka.topic]),
        include_authorized_operations=True,
        request_timeout=ASK_SECONDS,
    )[kafka.topic]
    topic = described.result(timeout=ASK_SECONDS + 1)
    headless = [item.id for item in topic.partitions if item.leader is None or item.leader.id < 0]
    if headless:
        raise Wrong(f"partitions {headless} of {kafka.topic} have no leader")
    refused = {AclOperation.READ, AclOperation.WRITE} - set(topic.authorized_operations or ())
    if refused:
        raise Wrong(
            "the account may not "
            f"{' or '.join(sorted(item.name.lower() for item in refused))} the topic {kafka.topic}"
        )
    replicas = min(len(item.replicas) for item in topic.partitions)
    return (
        f"{kafka.topic} at {kafka.bootstrap} by {kafka.security_protocol}: "
        f"{len(topic.partitions)} partitions of {replicas} replicas, to be read and written"
    )


def _warehouse(settings: Settings) -> str:
    done = _hadoop_shell(settings, "-ls", settings.lake.warehouse)
    if done.returncode == 0:
        return f"{settings.lake.warehouse}: {max(len(done.stdout.splitlines()) - 1, 0)} entries"
    said = (
        [line for line in done.stderr.splitlines() if line.startswith("ls: ")]
        or done.stderr.splitlines()
        or ["no word"]
    )
    if said[-1].endswith("No such file or directory"):
        return f"{settings.lake.warehouse} answers and is not there yet; the first batch makes it"
    raise Wrong(said[-1])


def _hadoop_shell(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Hadoop's own client on the jars of pyspark, with the options that the
    streaming job has.
    """
    import pyspark

    home = settings.spark.java_home or java_home()
    jars = Path(pyspark.__file__).parent / "jars" / "*"
    options = {
        **ATTEMPTS,
        **{name: value.get_secret_value() for name, value in settings.lake.hadoop_options.items()},
    }
    # Files in a directory that is its owner's alone, for the command line can be seen by everybody.
    with tempfile.TemporaryDirectory() as directory:
        given = _write_options(Path(directory) / "options.xml", options)
        # The client insists on a core-site.xml; the last place of the class path leaves it to
        # HADOOP_CONF_DIR where that is set.
        _write_options(Path(directory) / "core-site.xml", {})
        entries = [
            os.environ.get("HADOOP_CONF_DIR", ""),
            str(jars),
            *(str(jar) for jar in settings.spark.jars),
            directory,
        ]
        command = [
            home / "bin" / "java",
            "-Xmx256m",
            "-XX:-UsePerfData",
            "-cp",
            os.pathsep.join(filter(None, entries)),
            SHELL,
            "-conf",
            given,
        ]
        try:
            return subprocess.run(
                [*command, *arguments], capture_output=True, text=True, timeout=WAREHOUSE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"no answer within {WAREHOUSE_SECONDS} s") from None


def _write_options(path: Path, options: Mapping[str, str]) -> Path:
    properties = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in options.items()
    )
    path.write_text(f"<configuration>{properties}</configuration>")
    return path


# The streaming job may wait for a name node that comes back; a question does not.
ATTEMPTS = {
    "ipc.client.connect.max.retries": "2",
    "ipc.client.connect.max.retries.on.timeouts": "2",
    "fs.s3a.attempts.maximum": "2",
}


def _metastore(settings: Settings) -> str:
    uris = settings.lake.metastore_uris.split(",")
    for uri in uris:
        host, _, port = uri.removeprefix("thrift://").rpartition(":")
        try:
            probes.metastore(host.strip("[]"), int(port), ASK_SECONDS)
        except Exception as error:
            # A server with Kerberos answers nothing to the plain protocol.
            raise Wrong(f"{uri}: {error}") from error
    return ", ".join(uris)


def _hive(settings: Settings) -> str:
    hive = settings.hive
    with HiveResource.from_settings(
        hive.model_copy(update={"timeout_seconds": QUERY_SECONDS})
    ).session() as session:
        session.query("SELECT 1 AS one")
    return (
        f"{hive.host}:{hive.port} as {hive.username} ({hive.auth}{', TLS' if hive.ca_file else ''})"
    )


def _mysql_publisher(settings: Settings) -> str:
    def write(cursor: Any) -> None:
        cursor.execute("CREATE TEMPORARY TABLE qimo_doctor (day DATE)")
        cursor.execute("INSERT INTO qimo_doctor VALUES ('2021-11-07')")
        cursor.execute("DROP TEMPORARY TABLE qimo_doctor")

    return _ask_mysql(settings.mysql, write)


def _mysql_reader(settings: Settings) -> str:
    def read(cursor: Any) -> None:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        )
        cursor.fetchall()

    return _ask_mysql(settings.reader, read)


def _ask_mysql(mysql: MySQLSettings, ask: Callable[[Any], None]) -> str:
    with (
        MySQLResource.from_settings(
            mysql.model_copy(update={"timeout_seconds": ASK_SECONDS})
        ).connect() as connection,
        connection.cursor() as cursor,
    ):
        ask(cursor)
        cursor.execute("SELECT version()")
        (row,) = cursor.fetchall()
    version = row[0]  # pyright: ignore[reportArgumentType, reportIndexIssue, reportCallIssue]  # the stub's row may be a dict
    return (
        f"{mysql.username} on {mysql.host}:{mysql.port}/{mysql.database}, "
        f"{version}{', TLS' if mysql.ca_file else ''}"
    )


def _dagster_storage(settings: Settings) -> str:
    import dagster as dg

    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise Wrong("DAGSTER_HOME is not set")
    with dg.DagsterInstance.get() as instance:
        return (
            f"{type(instance.run_storage).__name__} with {instance.get_runs_count():,} runs, "
            f"as {home}/dagster.yaml says"
        )


def _dagster_webserver(settings: Settings) -> str:
    webserver = settings.dagster.webserver
    if webserver is None:
        return "dagster.webserver is not set, so it is not asked"
    probes.code_locations(webserver, ASK_SECONDS)
    probes.daemons(webserver, ASK_SECONDS)
    return f"{webserver}: the code is loaded and every daemon lives"


def _report(settings: Settings) -> str:
    report = settings.report
    password = report.access_password
    headers = (
        probes.basic_authorization(report.access_username, password.get_secret_value())
        if password
        else {}
    )
    probes.report_page(report.address, ASK_SECONDS, headers, report.server_file)
    return report.address


QUESTIONS = (
    Question(
        "log directory",
        _source,
        "Set QIMO_SOURCE__LOG_DIR. Let links.py and the agent run as the user that writes the "
        "files, under LC_ALL=C.UTF-8, with room for as many open files.",
    ),
    Question("java", _java, "Set QIMO_SPARK__JAVA_HOME or JAVA_HOME to a Java 17."),
    Question(
        "ip2region",
        _region_database,
        "Set QIMO_LAKE__IP2REGION_JAR to the jar of net.dreamlu:mica-ip2region, which "
        "./qimo up fetches.",
    ),
    Question(
        "kafka topic",
        _kafka,
        "Check the settings QIMO_KAFKA__* and the account's ACLs; materializing the "
        "topic's asset makes a topic that is missing.",
    ),
    Question(
        "warehouse",
        _warehouse,
        "Check QIMO_LAKE__WAREHOUSE, QIMO_LAKE__HADOOP_OPTIONS and HADOOP_CONF_DIR.",
    ),
    Question(
        "hive metastore",
        _metastore,
        "Check QIMO_LAKE__METASTORE_URIS; one with Kerberos cannot be asked from here.",
    ),
    Question("hiveserver2", _hive, "Check the settings QIMO_HIVE__*, hive.auth above all."),
    Question(
        "mysql publisher",
        _mysql_publisher,
        "Check the settings QIMO_MYSQL__* and the privileges of the account.",
    ),
    Question(
        "mysql reader", _mysql_reader, "Check QIMO_REPORT__USERNAME and QIMO_REPORT__PASSWORD."
    ),
    Question(
        "dagster storage",
        _dagster_storage,
        "Set DAGSTER_HOME, and what its dagster.yaml names, such as QIMO_DAGSTER_STORAGE_URL.",
    ),
    Question(
        "dagster webserver",
        _dagster_webserver,
        "Start it, or set QIMO_DAGSTER__WEBSERVER to where it is.",
    ),
    Question(
        "report",
        _report,
        "Start python -m qimo_assets.report.serve, or check "
        "QIMO_REPORT__HOST and QIMO_REPORT__PORT.",
    ),
)
