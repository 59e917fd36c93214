"""Puts the stack in place: software from the lock, rendered configurations, formatted data
directories. Each step can be run again.
"""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import stat
import subprocess
import uuid
import zipfile
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jinja2

from qimo_assets.settings import CHARACTER_SET, COLLATION, LOOPBACK, write_private
from qimo_assets.stack.accounts import KAFKA_ACCOUNT
from qimo_assets.stack.certificates import authority, own_certificate
from qimo_assets.stack.download import alone
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.jars import PYSPARK_HOME, class_path, install_jars
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import Layout, project_file
from qimo_assets.stack.services import Service, common_environment, quoted, services, spark_master

FORMAT_TIMEOUT_SECONDS = 120
# The pause before each next try is a second longer: 7 minutes after a day of failing.
ENDLESS_RETRIES = 2**31 - 1
# A batch and the table services beside it share them.
STREAM_THREADS = 4
# Template -> place under QIMO_HOME, of those that every profile has once.
PLACES = {
    "log4j2.properties": "etc/log4j2/log4j2.properties",
    "log4j.properties": "etc/hadoop/log4j.properties",
    "core-site.xml": "etc/hadoop/core-site.xml",
    "hdfs-site.xml": "etc/hadoop/hdfs-site.xml",
    "hive-site.xml": "etc/spark/hive-site.xml",
    "spark-log4j2.properties": "etc/spark/log4j2.properties",
    "metastore-site.xml": "etc/metastore/hive-site.xml",
    "my.cnf": "etc/my.cnf",
    "accounts.sql": "secrets/accounts.sql",
    "qimo.toml": "qimo.toml",
    "workspace.yaml": "etc/workspace.yaml",
    "supervisord.conf": "etc/supervisord.conf",
}
# One for each broker.
BROKER = "kafka.properties"
# Where Spark's executors are processes of their own, and where YARN starts them.
EXECUTOR_PLACES = {"spark-defaults.conf": "etc/spark/spark-defaults.conf"}
YARN_PLACES = {
    "yarn-site.xml": "etc/hadoop/yarn-site.xml",
    "log4j2-container.properties": "etc/hadoop/log4j2-container.properties",
}

_TEMPLATES = jinja2.Environment(  # nosec B701  # configuration files, no HTML
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    autoescape=False,
)


def install(layout: Layout) -> int:
    """Fetch what is missing of the software; return the number of jars that were fetched."""
    layout.make_directories()
    fetched = install_jars(layout)
    # Tests side by side, or two commands, install at once: one unpacks, the others wait for it.
    with alone(layout.install):
        _unpack_mariadb(layout)
    return fetched


def configure(layout: Layout) -> None:
    """Render every configuration from the layout; passwords only into files of mode 0600."""
    layout.make_directories()
    values = {
        "host": LOOPBACK,
        "ports": layout.ports,
        "profile": layout.profile,
        "bootstrap": layout.bootstrap(),
        "kafka_account": KAFKA_ACCOUNT,
        "secret": layout.secret,
        "endless": ENDLESS_RETRIES,
        "character_set": CHARACTER_SET,
        "collation": COLLATION,
        "services": [_program(layout, service) for service in services(layout)],
        "spark_jars": class_path(layout, "spark"),
        "spark_master": spark_master(layout, STREAM_THREADS),
        "ip2region_jar": class_path(layout, "ip2region")[0],
        "java_home": java_home(),
        "pyspark_home": PYSPARK_HOME,
        **_certificates(layout),
        **{
            name: getattr(layout, name)
            for name in ("home", "install", "data", "etc", "log", "run", "tmp", "secrets", "chat")
        },
    }
    for template, place in places(layout).items():
        _render(layout, template, place, values)
    for broker in layout.profile.brokers:
        _render(layout, BROKER, f"etc/{broker}.properties", {**values, **_broker(layout, broker)})
    for web_application in ("hdfs", "datanode", "secondary", "static"):
        (layout.etc / "webapps" / "webapps" / web_application).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(project_file("dagster.yaml"), layout.dagster_home / "dagster.yaml")
    for name in ("core-site.xml", "hdfs-site.xml"):
        shutil.copyfile(layout.etc / "hadoop" / name, layout.etc / "spark" / name)


def places(layout: Layout) -> dict[str, str]:
    """Return template -> place under QIMO_HOME, of those that a profile has once."""
    executors = EXECUTOR_PLACES if layout.profile.executor_hosts else {}
    return {**PLACES, **executors, **(YARN_PLACES if layout.profile.node_managers else {})}


def format_data(layout: Layout, only: Set[str] = frozenset({"kafka", "hdfs", "mysql"})) -> None:
    """Prepare the data directories of Kafka, HDFS and MariaDB side by side, unless they hold data
    already; from then on the profile is theirs.

    Args:
        layout: The stack.
        only: Those of the three to prepare.

    Raises:
        StackError: One of them fails, or does not end in its time; the message names its log.
    """
    layout.keep_profile()
    (layout.data / "flume" / "links").mkdir(parents=True, exist_ok=True)
    (layout.run / "spark").mkdir(parents=True, exist_ok=True)
    formats = {"kafka": _format_kafka, "hdfs": _format_hdfs, "mysql": _format_mysql}
    with ThreadPoolExecutor(max_workers=len(formats)) as pool:
        for done in [pool.submit(formats[name], layout) for name in sorted(only)]:
            done.result()


def _format_mysql(layout: Layout) -> None:
    root = layout.install / "mariadb"
    data = layout.data / "mysql"
    if (data / "mysql").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    options = [
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        f"--user={getpass.getuser()}",
    ]
    script = root / "scripts" / "mariadb-install-db"
    _run(
        layout,
        "mysql-format",
        [str(script), "--no-defaults", f"--basedir={root}", f"--datadir={data}", *options],
    )


def _render(layout: Layout, template: str, place: str, values: Mapping[str, object]) -> None:
    path = layout.home / place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, _TEMPLATES.get_template(template).render(values))


def _broker(layout: Layout, broker: str) -> dict[str, object]:
    """Return what a broker has of its own, and how its controllers find each other."""
    brokers = layout.profile.brokers
    own = authority(layout).issue(broker) if layout.profile.secured else None
    return {
        "broker": broker,
        "number": brokers.index(broker) + 1,
        "address": partial(layout.address, broker),
        "voters": ",".join(
            f"{number}@{layout.address(name, 'controller')}"
            for number, name in enumerate(brokers, 1)
        ),
        "certificate": own,
    }


def _certificates(layout: Layout) -> dict[str, Path]:
    """Return what the configurations name of a secured stack's certificates, which are made at the
    first call.
    """
    if not layout.profile.secured:
        return {}
    own = authority(layout)
    # Not when it is first asked for, which several probes do at once.
    own_certificate(layout)
    return {"ca_file": own.ca, "mysql_certificate": own.issue("mysql")}


def _program(layout: Layout, service: Service) -> dict[str, object]:
    environment = {**common_environment(layout), **dict(service.environment)}
    quoted_pairs = (f'{name}="{value.replace("%", "%%")}"' for name, value in environment.items())
    return {
        "name": service.name,
        "command": quoted(service.command),
        "environment": ",".join(quoted_pairs),
        "directory": layout.run,
        "stop_seconds": service.stop_seconds,
        "stop_as_group": str(service.stop_as_group).lower(),
    }


def _unpack_mariadb(layout: Layout) -> None:
    target = layout.install / "mariadb"
    if target.exists():
        return
    staging = layout.install / "mariadb.staging"
    shutil.rmtree(staging, ignore_errors=True)
    with zipfile.ZipFile(class_path(layout, "mariadb")[0]) as jar:
        jar.extractall(staging)
    root = next(staging.rglob("bin/mariadbd")).parent.parent
    # A jar keeps no permissions.
    for program in [*(root / "bin").iterdir(), *(root / "scripts").glob("*")]:
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    root.replace(target)
    shutil.rmtree(staging)


def _format_kafka(layout: Layout) -> None:
    directories = {broker: layout.data / broker for broker in layout.profile.brokers}
    formatted = [
        path / "meta.properties"
        for path in directories.values()
        if (path / "meta.properties").exists()
    ]
    cluster_id = _cluster_id(formatted[0]) if formatted else _new_cluster_id()
    for broker, directory in directories.items():
        if not (directory / "meta.properties").exists():
            arguments = [
                "kafka.tools.StorageTool",
                "format",
                "-t",
                cluster_id,
                "-c",
                str(layout.etc / f"{broker}.properties"),
                "--ignore-formatted",
            ]
            _run(
                layout,
                f"{broker}-format",
                _java([layout.etc / "log4j2", *class_path(layout, "kafka")], arguments),
            )


def _new_cluster_id() -> str:
    # A cluster id is a base64 UUID of 22 characters that does not begin with a dash (StorageTool
    # takes that for an option).
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)


def _cluster_id(meta: Path) -> str:
    return dict(line.split("=", 1) for line in meta.read_text().splitlines() if "=" in line)[
        "cluster.id"
    ]


def _format_hdfs(layout: Layout) -> None:
    if (layout.data / "hdfs" / "name" / "current" / "VERSION").exists():
        return
    entries = [layout.etc / "hadoop", layout.etc / "webapps", *class_path(layout, "hdfs")]
    arguments = ["org.apache.hadoop.hdfs.server.namenode.NameNode", "-format", "-nonInteractive"]
    _run(layout, "namenode-format", _java(entries, arguments))


def _java(entries: list[Path], arguments: list[str]) -> list[str]:
    return [
        str(java_home() / "bin" / "java"),
        "-cp",
        os.pathsep.join(str(entry) for entry in entries),
        *arguments,
    ]


def _run(layout: Layout, name: str, command: list[str]) -> None:
    log = layout.log / f"{name}.log"
    with log.open("w") as output:
        try:
            status = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=FORMAT_TIMEOUT_SECONDS,
                env=common_environment(layout),
            ).returncode
        except subprocess.TimeoutExpired:
            raise StackError(
                f"{name} did not end within {FORMAT_TIMEOUT_SECONDS} s; see {log}."
            ) from None
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise StackError(f"{name} failed with status {status}:\n{tail}\nThe whole log is {log}.")
