"""The services as data, and their rendered configurations: order, ports, passwords, and who may connect."""

from __future__ import annotations

import configparser
import re
import stat
from graphlib import TopologicalSorter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from qimo_assets.settings import LOOPBACK, load_settings
from qimo_assets.stack import control, install
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import USUAL_PORTS, Layout, current_layout
from qimo_assets.stack.services import services

SECRETS = ("mysql_root", "mysql_publisher", "mysql_reader", "mysql_dagster")
# What a rendered file may hold of the passwords: MariaDB's accounts, the settings' own, and Dagster's, which each process gets.
HOLDS = {"secrets/accounts.sql": set(SECRETS), "qimo.toml": {"mysql_publisher", "mysql_reader"}, "etc/supervisord.conf": {"mysql_dagster"}}


@pytest.fixture
def layout(home: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout whose Java is found without starting one."""
    monkeypatch.setenv("QIMO_JAVA", "bundled")
    return current_layout()


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


# --- as data


def test_each_service_is_started_after_services_that_there_are(layout: Layout) -> None:
    needs = {service.name: set(service.after) for service in services(layout)}
    assert len(needs) == len(services(layout))
    assert set().union(*needs.values()) <= set(needs)
    assert len(list(TopologicalSorter(needs).static_order())) == len(needs)


def test_the_order_of_the_list_respects_the_needs(layout: Layout) -> None:
    # `down` stops in the reverse order of the list.
    names = [service.name for service in services(layout)]
    assert [(service.name, need) for service in services(layout) for need in service.after if names.index(need) > names.index(service.name)] == []


def test_each_port_belongs_to_exactly_one_service(layout: Layout) -> None:
    assert sorted(port for service in services(layout) for port in service.ports) == sorted(USUAL_PORTS)


def test_no_password_stands_on_a_command_line(layout: Layout) -> None:
    passwords = [layout.secret(name) for name in SECRETS]
    assert [service.name for service in services(layout) for password in passwords if password in " ".join(service.command)] == []


def test_each_service_has_a_version_and_a_place_for_its_files(layout: Layout) -> None:
    for component in control.components(layout):
        assert re.match(r"\d+\.\d+", component.version), component
    commands = [" ".join(service.command) for service in services(layout) if "java" in service.command[0]]
    assert commands
    assert all(f"-Djava.io.tmpdir={layout.tmp}" in command and "-Xmx" in command for command in commands)


def test_settings_of_the_environment_reach_the_runs_and_the_report_and_nothing_else(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QIMO_KAFKA__TOPIC", "other")
    monkeypatch.setenv("QIMO_CONFIG", "/own.toml")
    monkeypatch.setenv("QIMO_PORT_OFFSET", "1")
    assert {service.name: dict(service.environment) for service in services(layout) if service.environment} == {
        name: {"QIMO_KAFKA__TOPIC": "other", "QIMO_CONFIG": "/own.toml"} for name in ("dagster-code", "report")
    }


# --- rendered


def test_every_rendered_file_is_its_owners_alone(configured: Layout) -> None:
    modes = {place: stat.S_IMODE((configured.home / place).stat().st_mode) for place in install.PLACES.values()}
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(configured.secrets.stat().st_mode) == 0o700
    assert set(install.PLACES) == {path.name for path in (Path(install.__file__).parent / "templates").iterdir()}


def test_a_rendered_file_becomes_its_owners_alone_again(configured: Layout) -> None:
    path = configured.home / "qimo.toml"
    path.chmod(0o644)
    install.configure(configured)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_passwords_stand_only_where_they_are_needed(configured: Layout) -> None:
    passwords = {name: configured.secret(name) for name in SECRETS}
    files = [path for path in configured.home.rglob("*") if path.is_file() and path.name not in SECRETS]
    found = {str(path.relative_to(configured.home)): {name for name, password in passwords.items() if password in path.read_text()} for path in files}
    assert {place: names for place, names in found.items() if names} == HOLDS


def test_nothing_is_left_to_fill_in(configured: Layout) -> None:
    texts = {place: (configured.home / place).read_text() for place in install.PLACES.values()}
    assert [place for place, text in texts.items() if "{{" in text or "{%" in text or "0.0.0.0" in text or "None" in text] == []


def test_rendering_again_changes_nothing(configured: Layout) -> None:
    before = {path: path.read_bytes() for path in configured.home.rglob("*") if path.is_file()}
    install.configure(configured)
    assert {path: path.read_bytes() for path in configured.home.rglob("*") if path.is_file()} == before


def test_kafka_listens_on_the_loopback_only(configured: Layout) -> None:
    properties, ports = pairs(configured.etc / "kafka.properties"), configured.ports
    assert properties["listeners"].split(",") == [f"PLAINTEXT://{LOOPBACK}:{ports['kafka']}", f"CONTROLLER://{LOOPBACK}:{ports['kafka_controller']}"]
    assert properties["advertised.listeners"] == f"PLAINTEXT://{LOOPBACK}:{ports['kafka']}"


def test_mariadb_listens_on_the_loopback_only(configured: Layout) -> None:
    parser = configparser.ConfigParser(allow_no_value=True)
    parser.read(configured.etc / "my.cnf")
    assert (parser["mariadbd"]["bind-address"], parser["mariadbd"]["port"]) == (LOOPBACK, str(configured.ports["mysql"]))


def test_hdfs_listens_on_the_loopback_only(configured: Layout) -> None:
    core, hdfs = (hadoop(configured.etc / "hadoop" / name) for name in ("core-site.xml", "hdfs-site.xml"))
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
    assert (properties["hive.server2.thrift.bind.host"], properties["hive.server2.thrift.port"]) == (LOOPBACK, str(configured.ports["hive"]))
    command = next(service.command for service in services(configured) if service.name == "thriftserver")
    assert {f"spark.driver.host={LOOPBACK}", f"spark.driver.bindAddress={LOOPBACK}", "spark.ui.enabled=false"} <= set(command)


def test_the_metastore_listens_on_the_loopback_only(configured: Layout) -> None:
    command = next(service.command for service in services(configured) if service.name == "metastore")
    assert command[-2:] == (LOOPBACK, str(configured.ports["metastore"]))


@pytest.mark.parametrize(("name", "port"), [("dagster-code", "dagster_code"), ("dagster-webserver", "dagster")])
def test_dagster_listens_on_the_loopback_only(configured: Layout, name: str, port: str) -> None:
    command = next(service.command for service in services(configured) if service.name == name)
    assert (command[command.index("-h") + 1], command[command.index("-p") + 1]) == (LOOPBACK, str(configured.ports[port]))
    server = yaml.safe_load((configured.etc / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert (server["host"], server["port"]) == (LOOPBACK, configured.ports["dagster_code"])


def test_the_supervisor_takes_commands_by_its_socket_only(configured: Layout) -> None:
    parser = configparser.RawConfigParser()
    parser.read(configured.etc / "supervisord.conf")
    assert "inet_http_server" not in parser
    assert parser["unix_http_server"] == {"file": str(configured.supervisor_socket), "chmod": "0700"}
    assert {section.removeprefix("program:") for section in parser.sections() if section.startswith("program:")} == {
        service.name for service in services(configured)
    }


def test_the_settings_point_at_this_stack(configured: Layout) -> None:
    settings, ports = load_settings(), configured.ports
    assert settings.kafka.bootstrap == f"{LOOPBACK}:{ports['kafka']}"
    assert settings.lake.metastore_uris == f"thrift://{LOOPBACK}:{ports['metastore']}"
    assert (settings.hive.host, settings.hive.port, settings.mysql.host, settings.mysql.port) == (LOOPBACK, ports["hive"], LOOPBACK, ports["mysql"])
    assert settings.mysql.password.get_secret_value() == configured.secret("mysql_publisher")
    assert (settings.report.host, settings.report.port, settings.report.username) == (LOOPBACK, ports["report"], "finebi_reader")
    assert settings.report.password is not None
    assert settings.report.password.get_secret_value() == configured.secret("mysql_reader")
    assert settings.source.log_dir == configured.chat
    assert settings.spark.jars == class_path(configured, "spark")
    assert [settings.lake.ip2region_jar] == class_path(configured, "ip2region")
