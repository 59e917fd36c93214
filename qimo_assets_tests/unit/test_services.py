"""The services of each profile as data, and their rendered configurations: order, ports, passwords,
and who may connect.
"""

from __future__ import annotations

import configparser
import re
import stat
from graphlib import TopologicalSorter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from qimo_assets.resources.spark import spark_properties
from qimo_assets.settings import LOOPBACK, load_settings
from qimo_assets.stack import control, install
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import Layout, current_layout
from qimo_assets.stack.profiles import PROFILES
from qimo_assets.stack.services import common_environment, services
from qimo_assets.timeouts import CODE_SERVER_STOP_SECONDS

SECRETS = ("mysql_root", "mysql_publisher", "mysql_reader", "mysql_dagster")
CLUSTER_SECRETS = ("kafka_qimo", "spark")
# What a rendered file may hold of the passwords: MariaDB's accounts, the settings' own, and
# Dagster's, which each process gets.
HOLDS = {
    "secrets/accounts.sql": set(SECRETS),
    "qimo.toml": {"mysql_publisher", "mysql_reader"},
    "etc/supervisord.conf": {"mysql_dagster"},
}
# In a cluster that of Kafka's account as well, and what Spark's processes know each other by.
CLUSTER_HOLDS = {
    **HOLDS,
    "qimo.toml": {"mysql_publisher", "mysql_reader", "kafka_qimo"},
    "etc/spark/spark-defaults.conf": {"spark"},
}
EACH = pytest.mark.parametrize("layout", PROFILES, indirect=True)


@pytest.fixture
def layout(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout whose Java is found without starting one; of the single profile unless a test names
    another.
    """
    monkeypatch.setenv("QIMO_JAVA", "bundled")
    return current_layout(getattr(request, "param", None))


@pytest.fixture
def configured(layout: Layout) -> Layout:
    """A layout with its configurations rendered; nothing is installed."""
    install.configure(layout)
    return layout


def hadoop(path: Path) -> dict[str, str]:
    """Return the properties of one of Hadoop's XML files."""
    properties = ElementTree.parse(path).getroot().iter("property")
    return {item.findtext("name", ""): item.findtext("value", "") for item in properties}


def pairs(path: Path) -> dict[str, str]:
    """Return the properties of a Java properties file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def rendered(layout: Layout) -> set[str]:
    """Return the places of the rendered files."""
    return {
        *install.places(layout).values(),
        *(f"etc/{broker}.properties" for broker in layout.profile.brokers),
    }


def option(command: tuple[str, ...], name: str) -> str:
    """Return what stands behind an option of a command."""
    return command[command.index(name) + 1]


# --- as data


@EACH
def test_each_service_is_started_after_services_that_there_are(layout: Layout) -> None:
    needs = {service.name: set(service.after) for service in services(layout)}
    assert len(needs) == len(services(layout))
    assert set().union(*needs.values()) <= set(needs)
    assert len(list(TopologicalSorter(needs).static_order())) == len(needs)


@EACH
def test_the_order_of_the_list_respects_the_needs(layout: Layout) -> None:
    # `down` stops in the reverse order of the list.
    names = [service.name for service in services(layout)]
    assert [
        (service.name, need)
        for service in services(layout)
        for need in service.after
        if names.index(need) > names.index(service.name)
    ] == []


@EACH
def test_each_port_belongs_to_exactly_one_service(layout: Layout) -> None:
    assert sorted(port for service in services(layout) for port in service.ports) == sorted(
        layout.profile.ports
    )


@EACH
def test_no_password_stands_on_a_command_line(layout: Layout) -> None:
    passwords = [layout.secret(name) for name in SECRETS + CLUSTER_SECRETS]
    assert [
        service.name
        for service in services(layout)
        for password in passwords
        if password in " ".join(service.command)
    ] == []


@EACH
def test_each_service_has_a_version_and_a_place_for_its_files(layout: Layout) -> None:
    for component in control.components(layout):
        assert re.match(r"\d+\.\d+", component.version), component
    commands = [
        " ".join(service.command) for service in services(layout) if "java" in service.command[0]
    ]
    assert commands
    assert all(
        f"-Djava.io.tmpdir={layout.tmp}" in command and "-Xmx" in command for command in commands
    )


def test_settings_of_the_environment_reach_the_runs_and_the_report_and_nothing_else(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIMO_KAFKA__TOPIC", "other")
    monkeypatch.setenv("QIMO_CONFIG", "/own.toml")
    monkeypatch.setenv("QIMO_PORT_OFFSET", "1")
    assert {
        service.name: dict(service.environment)
        for service in services(layout)
        if service.environment
    } == {
        name: {"QIMO_KAFKA__TOPIC": "other", "QIMO_CONFIG": "/own.toml"}
        for name in ("dagster-code", "report")
    }


# --- rendered


@EACH
def test_every_rendered_file_is_its_owners_alone(configured: Layout) -> None:
    modes = {
        place: stat.S_IMODE((configured.home / place).stat().st_mode)
        for place in rendered(configured)
    }
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(configured.secrets.stat().st_mode) == 0o700
    assert {*install.PLACES, *install.EXECUTOR_PLACES, *install.YARN_PLACES, install.BROKER} == {
        path.name for path in (Path(install.__file__).parent / "templates").iterdir()
    }


def test_a_rendered_file_becomes_its_owners_alone_again(configured: Layout) -> None:
    path = configured.home / "qimo.toml"
    path.chmod(0o644)
    install.configure(configured)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@EACH
def test_passwords_stand_only_where_they_are_needed(configured: Layout) -> None:
    secured = configured.profile.secured
    passwords = {
        name: configured.secret(name) for name in SECRETS + (CLUSTER_SECRETS if secured else ())
    }
    files = [
        path for path in configured.home.rglob("*") if path.is_file() and path.name not in passwords
    ]
    found = {
        str(path.relative_to(configured.home)): {
            name for name, password in passwords.items() if password in path.read_text()
        }
        for path in files
    }
    assert {place: names for place, names in found.items() if names} == (
        CLUSTER_HOLDS if secured else HOLDS
    )


@EACH
def test_nothing_is_left_to_fill_in(configured: Layout) -> None:
    texts = {place: (configured.home / place).read_text() for place in rendered(configured)}
    assert [
        place
        for place, text in texts.items()
        if "{{" in text or "{%" in text or "0.0.0.0" in text or "None" in text
    ] == []


@EACH
def test_rendering_again_changes_nothing(configured: Layout) -> None:
    before = {path: path.read_bytes() for path in configured.home.rglob("*") if path.is_file()}
    install.configure(configured)
    assert {
        path: path.read_bytes() for path in configured.home.rglob("*") if path.is_file()
    } == before


def test_kafka_listens_on_the_loopback_only(configured: Layout) -> None:
    properties, ports = pairs(configured.etc / "kafka.properties"), configured.ports
    assert properties["listeners"].split(",") == [
        f"PLAINTEXT://{LOOPBACK}:{ports['kafka']}",
        f"CONTROLLER://{LOOPBACK}:{ports['kafka_controller']}",
    ]
    assert properties["advertised.listeners"] == f"PLAINTEXT://{LOOPBACK}:{ports['kafka']}"


def test_mariadb_listens_on_the_loopback_only(configured: Layout) -> None:
    parser = configparser.ConfigParser(allow_no_value=True)
    parser.read(configured.etc / "my.cnf")
    assert (parser["mariadbd"]["bind-address"], parser["mariadbd"]["port"]) == (
        LOOPBACK,
        str(configured.ports["mysql"]),
    )


def test_hdfs_listens_on_the_loopback_only(configured: Layout) -> None:
    core, hdfs = (
        hadoop(configured.etc / "hadoop" / name) for name in ("core-site.xml", "hdfs-site.xml")
    )
    ports = configured.ports
    assert core["fs.defaultFS"] == f"hdfs://{LOOPBACK}:{ports['namenode']}"
    assert {name: value for name, value in hdfs.items() if name.endswith("address")} == {
        "dfs.namenode.http-address": f"{LOOPBACK}:{ports['namenode_http']}",
        "dfs.datanode.address": f"{LOOPBACK}:{ports['datanode']}",
        "dfs.datanode.http.address": f"{LOOPBACK}:{ports['datanode_http']}",
        "dfs.datanode.ipc.address": f"{LOOPBACK}:{ports['datanode_ipc']}",
    }
    assert not any("bind-host" in name for name in hdfs)


def test_the_thrift_server_listens_on_the_loopback_only(configured: Layout) -> None:
    properties = hadoop(configured.etc / "spark" / "hive-site.xml")
    assert (
        properties["hive.server2.thrift.bind.host"],
        properties["hive.server2.thrift.port"],
    ) == (LOOPBACK, str(configured.ports["hive"]))
    command = next(
        service.command for service in services(configured) if service.name == "thriftserver"
    )
    assert {
        f"spark.driver.host={LOOPBACK}",
        f"spark.driver.bindAddress={LOOPBACK}",
        "spark.ui.enabled=false",
    } <= set(command)


def test_the_metastore_listens_on_the_loopback_only(configured: Layout) -> None:
    command = next(
        service.command for service in services(configured) if service.name == "metastore"
    )
    assert command[-2:] == (LOOPBACK, str(configured.ports["metastore"]))


@pytest.mark.parametrize(
    ("name", "port"), [("dagster-code", "dagster_code"), ("dagster-webserver", "dagster")]
)
def test_dagster_listens_on_the_loopback_only(configured: Layout, name: str, port: str) -> None:
    command = next(service.command for service in services(configured) if service.name == name)
    assert (command[command.index("-h") + 1], command[command.index("-p") + 1]) == (
        LOOPBACK,
        str(configured.ports[port]),
    )
    server = yaml.safe_load((configured.etc / "workspace.yaml").read_text())["load_from"][0][
        "grpc_server"
    ]
    assert (server["host"], server["port"]) == (LOOPBACK, configured.ports["dagster_code"])


@EACH
def test_the_supervisor_takes_commands_by_its_socket_only(configured: Layout) -> None:
    parser = configparser.RawConfigParser()
    parser.read(configured.etc / "supervisord.conf")
    assert "inet_http_server" not in parser
    assert parser["unix_http_server"] == {
        "file": str(configured.supervisor_socket),
        "chmod": "0700",
    }
    assert {
        section.removeprefix("program:")
        for section in parser.sections()
        if section.startswith("program:")
    } == {service.name for service in services(configured)}


def test_a_service_is_tried_again_without_end_and_may_take_its_time_to_stop(
    configured: Layout,
) -> None:
    parser = configparser.RawConfigParser()
    parser.read(configured.etc / "supervisord.conf")
    programs = [parser[name] for name in parser.sections() if name.startswith("program:")]
    # The pause grows by a second a try: so many tries take longer than any stack lives.
    assert all(int(program["startretries"]) > 1_000_000 for program in programs)
    code = parser["program:dagster-code"]
    assert int(code["stopwaitsecs"]) == CODE_SERVER_STOP_SECONDS


def test_the_settings_point_at_this_stack(configured: Layout) -> None:
    settings, ports = load_settings(), configured.ports
    assert settings.kafka.bootstrap == f"{LOOPBACK}:{ports['kafka']}"
    assert settings.lake.metastore_uris == f"thrift://{LOOPBACK}:{ports['metastore']}"
    assert (settings.hive.host, settings.hive.port, settings.mysql.host, settings.mysql.port) == (
        LOOPBACK,
        ports["hive"],
        LOOPBACK,
        ports["mysql"],
    )
    assert settings.mysql.password.get_secret_value() == configured.secret("mysql_publisher")
    assert (settings.report.host, settings.report.port, settings.report.username) == (
        LOOPBACK,
        ports["report"],
        "finebi_reader",
    )
    assert settings.report.password is not None
    assert settings.report.password.get_secret_value() == configured.secret("mysql_reader")
    assert settings.source.log_dir == configured.chat
    assert settings.spark.jars == class_path(configured, "spark")
    assert [settings.lake.ip2region_jar] == class_path(configured, "ip2region")


# --- a cluster


CLUSTER = pytest.mark.parametrize("layout", ["cluster"], indirect=True)


@CLUSTER
def test_no_broker_of_a_cluster_listens_in_the_clear(configured: Layout) -> None:
    assert len(configured.profile.brokers) == 3
    for broker in configured.profile.brokers:
        properties = pairs(configured.etc / f"{broker}.properties")
        assert dict(
            pair.split(":") for pair in properties["listener.security.protocol.map"].split(",")
        ) == {
            "CLIENT": "SASL_SSL",
            "INTERNAL": "SSL",
            "CONTROLLER": "SSL",
        }
        assert properties["listeners"].split(",") == [
            f"CLIENT://{configured.address(broker)}",
            f"INTERNAL://{configured.address(broker, 'internal')}",
            f"CONTROLLER://{configured.address(broker, 'controller')}",
        ]
        assert (
            properties["sasl.enabled.mechanisms"],
            properties["inter.broker.listener.name"],
        ) == ("SCRAM-SHA-512", "INTERNAL")
        assert {
            name
            for name, value in properties.items()
            if name.endswith("client.auth") and value == "required"
        } == {
            "listener.name.internal.ssl.client.auth",
            "listener.name.controller.ssl.client.auth",
        }


@CLUSTER
def test_the_brokers_of_a_cluster_differ_in_what_is_their_own(configured: Layout) -> None:
    found = [
        pairs(configured.etc / f"{broker}.properties") for broker in configured.profile.brokers
    ]
    own = {
        name for name in found[0] if len({properties[name] for properties in found}) == len(found)
    }
    assert own == {
        "node.id",
        "listeners",
        "advertised.listeners",
        "log.dirs",
        "ssl.keystore.location",
    }
    assert {name for name in found[0] if len({properties[name] for properties in found}) > 1} == own
    assert len(found[0]["controller.quorum.voters"].split(",")) == 3


@CLUSTER
def test_mariadb_of_a_cluster_takes_tls_alone(configured: Layout) -> None:
    parser = configparser.ConfigParser(allow_no_value=True)
    parser.read(configured.etc / "my.cnf")
    options = parser["mariadbd"]
    assert options["require-secure-transport"] == "ON"
    assert "skip-ssl" not in options
    assert {Path(options[name]).parent for name in ("ssl-ca", "ssl-cert", "ssl-key")} == {
        configured.secrets / "tls"
    }


@CLUSTER
def test_each_data_node_of_a_cluster_has_addresses_and_a_directory_of_its_own(
    configured: Layout,
) -> None:
    first = hadoop(configured.etc / "hadoop" / "hdfs-site.xml")
    command = next(
        service.command for service in services(configured) if service.name == "datanode-2"
    )
    second = dict(part.split("=", 1) for part in command if part.startswith("dfs."))
    assert set(second) == {
        "dfs.datanode.data.dir",
        *(f"dfs.datanode.{kind}address" for kind in ("", "http.", "ipc.")),
    }
    assert [name for name, value in second.items() if first[name] == value] == []
    assert all(
        value.startswith(f"{LOOPBACK}:")
        for name, value in second.items()
        if name.endswith("address")
    )
    assert first["dfs.replication"] == "2"


@CLUSTER
def test_sparks_cluster_listens_on_the_loopback_only(configured: Layout) -> None:
    members = {
        service.name: service
        for service in services(configured)
        if service.name.startswith("spark-")
    }
    assert set(members) == {"spark-master", "spark-worker", "spark-worker-2"}
    assert {
        (option(member.command, "--host"), dict(member.environment)["SPARK_LOCAL_IP"])
        for member in members.values()
    } == {(LOOPBACK, LOOPBACK)}


@CLUSTER
def test_the_settings_point_at_the_cluster(configured: Layout) -> None:
    settings = load_settings()
    kafka = settings.kafka
    assert kafka.bootstrap.split(",") == [
        configured.address(broker) for broker in configured.profile.brokers
    ]
    assert (
        kafka.security_protocol,
        kafka.sasl_mechanism,
        kafka.replication,
        kafka.min_insync_replicas,
    ) == ("SASL_SSL", "SCRAM-SHA-512", 3, 2)
    assert kafka.password is not None
    assert kafka.password.get_secret_value() == configured.secret("kafka_qimo")
    assert kafka.ca_file == settings.mysql.ca_file == configured.secrets / "tls" / "ca.pem"
    assert settings.reader.ca_file == settings.mysql.ca_file
    properties = spark_properties(settings)
    assert properties["spark.master"] == f"spark://{configured.address('spark-master')}"
    assert (
        properties["spark.driver.host"],
        properties["spark.driver.bindAddress"],
        properties["spark.jars"],
    ) == (LOOPBACK, LOOPBACK, "")


# --- YARN


YARN = pytest.mark.parametrize("layout", ["yarn"], indirect=True)


@YARN
def test_yarn_listens_on_the_loopback_only(configured: Layout) -> None:
    properties, ports = hadoop(configured.etc / "hadoop" / "yarn-site.xml"), configured.ports
    assert {
        name: value for name, value in properties.items() if "address" in name or "hostname" in name
    } == {
        "yarn.resourcemanager.hostname": LOOPBACK,
        "yarn.resourcemanager.address": f"{LOOPBACK}:{ports['resourcemanager']}",
        "yarn.resourcemanager.scheduler.address": (
            f"{LOOPBACK}:{ports['resourcemanager_scheduler']}"
        ),
        "yarn.resourcemanager.resource-tracker.address": (
            f"{LOOPBACK}:{ports['resourcemanager_tracker']}"
        ),
        "yarn.resourcemanager.admin.address": f"{LOOPBACK}:{ports['resourcemanager_admin']}",
        "yarn.resourcemanager.webapp.address": f"{LOOPBACK}:{ports['resourcemanager_http']}",
        "yarn.nodemanager.hostname": LOOPBACK,
        "yarn.nodemanager.address": f"{LOOPBACK}:{ports['nodemanager']}",
        "yarn.nodemanager.localizer.address": f"{LOOPBACK}:{ports['nodemanager_localizer']}",
        "yarn.nodemanager.webapp.address": f"{LOOPBACK}:{ports['nodemanager_http']}",
    }
    members = [
        service
        for service in services(configured)
        if service.name in ("resourcemanager", "nodemanager")
    ]
    assert [dict(member.environment)["SPARK_LOCAL_IP"] for member in members] == [
        LOOPBACK,
        LOOPBACK,
    ]


@YARN
def test_a_container_gets_no_variable_with_a_password(configured: Layout) -> None:
    passed = hadoop(configured.etc / "hadoop" / "yarn-site.xml")[
        "yarn.nodemanager.env-whitelist"
    ].split(",")
    known = {**common_environment(configured), "SPARK_LOCAL_IP": LOOPBACK}
    assert [
        name
        for name in passed
        if any(configured.secret(secret) in known[name] for secret in SECRETS)
    ] == []


@YARN
def test_four_applications_fit_into_the_node(configured: Layout) -> None:
    properties = hadoop(configured.etc / "hadoop" / "yarn-site.xml")
    lines = (configured.etc / "spark" / "spark-defaults.conf").read_text().splitlines()
    spark = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    total, step = (
        int(properties[f"yarn.{name}-mb"])
        for name in ("nodemanager.resource.memory", "scheduler.minimum-allocation")
    )
    master, executor = (
        -(
            -sum(megabytes(spark[f"spark.{kind}.{part}"]) for part in ("memory", "memoryOverhead"))
            // step
        )
        * step
        for kind in ("yarn.am", "executor")
    )
    assert total == 4 * (master + executor)
    assert 4 * master <= total * float(
        properties["yarn.scheduler.capacity.maximum-am-resource-percent"]
    )


def megabytes(text: str) -> int:
    """Return an amount of memory as Spark writes it, in MB."""
    return int(text[:-1]) * {"m": 1, "g": 1024}[text[-1]]


def test_whoever_reads_and_writes_the_tables_keeps_the_calendar(configured: Layout) -> None:
    server = next(
        service.command for service in services(configured) if service.name == "thriftserver"
    )
    for form in ("parquet.datetime", "parquet.int96", "avro.datetime"):
        for way in ("Read", "Write"):
            name = f"spark.sql.{form}RebaseModeIn{way}"
            assert f"{name}=CORRECTED" in server
            assert spark_properties(load_settings())[name] == "CORRECTED"


@YARN
def test_the_drivers_take_yarn_and_send_no_jars(configured: Layout) -> None:
    properties = spark_properties(load_settings())
    assert (
        properties["spark.master"],
        properties["spark.driver.host"],
        properties["spark.jars"],
    ) == ("yarn", LOOPBACK, "")
    assert (
        "spark.yarn.jars local:/" in (configured.etc / "spark" / "spark-defaults.conf").read_text()
    )
    assert "spark.master=yarn" in next(
        service.command for service in services(configured) if service.name == "thriftserver"
    )
