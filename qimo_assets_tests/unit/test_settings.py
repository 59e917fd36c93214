"""Settings: where a value comes from, what is said about a missing or wrong one, and that no
password is shown.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from qimo_assets.settings import (
    PROJECT_ROOT,
    SECRETS,
    Settings,
    SettingsError,
    load_settings,
    qimo_home,
    settings_file,
)
from qimo_assets_tests.unit.conftest import REQUIRED

PASSWORD = REQUIRED["QIMO_MYSQL__PASSWORD"]
GROUPS = {
    name: kind.annotation
    for name, kind in Settings.model_fields.items()
    if isinstance(kind.annotation, type) and issubclass(kind.annotation, BaseModel)
}


def setting(variable: str) -> str:
    """Return a variable's setting, as messages and the settings file name it."""
    return variable.removeprefix("QIMO_").replace("__", ".").lower()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def message() -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value)


# --- where a value comes from


def test_the_required_settings_are_those_without_a_default() -> None:
    required = {
        f"{group}.{name}"
        for group, model in GROUPS.items()
        for name, kind in model.model_fields.items()
        if kind.is_required()
    }
    assert required == {setting(name) for name in REQUIRED}


@pytest.mark.usefixtures("required")
def test_the_environment_alone_is_enough() -> None:
    settings = load_settings()
    assert (settings.kafka.bootstrap, settings.hive.port, settings.lake.ip2region_jar) == (
        "127.0.0.1:9",
        9,
        Path("/none/ip2region.jar"),
    )
    assert settings.mysql.password.get_secret_value() == PASSWORD


def test_the_environment_wins_over_the_file_value_by_value(
    required: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pragma: allowlist nextline secret  # made up for a test
    write(
        required / "qimo.toml",
        '[kafka]\nbootstrap = "file:1"\ntopic = "of the file"\n[mysql]\npassword = "of the '
        'file"\n[lake]\ntrigger_seconds = 3\n',
    )
    monkeypatch.setenv("QIMO_LAKE__TRIGGER_SECONDS", "4")
    settings = load_settings()
    assert (settings.kafka.bootstrap, settings.kafka.topic) == ("127.0.0.1:9", "of the file")
    assert settings.mysql.password.get_secret_value() == PASSWORD
    assert settings.lake.trigger_seconds == 4


def test_a_named_file_stands_in_for_that_of_the_home(
    required: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(required / "qimo.toml", '[kafka]\ntopic = "home"\nprogress_group = "home"\n')
    write(tmp_path / "own.toml", '[kafka]\ntopic = "own"\n')
    assert load_settings().kafka.topic == "home"
    load_settings.cache_clear()
    monkeypatch.setenv("QIMO_CONFIG", str(tmp_path / "own.toml"))
    assert settings_file() == tmp_path / "own.toml"
    assert (load_settings().kafka.topic, load_settings().kafka.progress_group) == (
        "own",
        "qimo-lake",
    )


def test_the_home_is_the_checkouts_own_unless_it_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (qimo_home(), settings_file()) == (home, home / "qimo.toml")
    for unset in ("", None):
        monkeypatch.delenv("QIMO_HOME") if unset is None else monkeypatch.setenv("QIMO_HOME", unset)
        assert qimo_home() == PROJECT_ROOT / ".qimo"


# --- what is missing or wrong


@pytest.mark.parametrize("variable", REQUIRED)
def test_a_missing_setting_names_itself_and_what_to_do(
    required: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    said = message()
    assert said.startswith(
        f"1 setting(s) missing or wrong (file: {required / 'qimo.toml'}):\n  "
        f"{setting(variable)}: Field required\n"
    )
    assert said.endswith(
        "Run ./qimo up to write the embedded stack's settings, or set QIMO_<GROUP>__<NAME>."
    )


@pytest.mark.usefixtures("home")
def test_without_any_setting_each_required_one_is_named() -> None:
    said = message()
    assert [name for name in REQUIRED if f"  {setting(name)}: Field required" not in said] == []


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("QIMO_HIVE__PORT", "ten"),
        ("QIMO_KAFKA__PARTITIONS", "0"),
        ("QIMO_KAFKA__TIMEOUT_SECONDS", "0"),
        ("QIMO_LAKE__REPORT_SECONDS", "0"),
        ("QIMO_LAKE__MAX_LINES_PER_BATCH", "-1"),
        ("QIMO_LAKE__ACCEPT_DATA_LOSS", "perhaps"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    assert (
        f"1 setting(s) missing or wrong (file: {settings_file()}):\n  {setting(variable)}: "
        "Input should be " in message()
    )


def test_a_file_that_is_no_toml_is_named(required: Path) -> None:
    write(required / "qimo.toml", "[kafka\n")
    assert str(required / "qimo.toml") in message()


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("variable", ["QIMO_SPARK__JARS", "QIMO_SPARK__CONF", "QIMO_KAFKA"])
def test_a_list_or_a_group_that_is_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "a:b")
    assert variable in message()


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"QIMO_KAFKA__BOOTSTRAP": "broker"}, "kafka.bootstrap: should be host:port, "),
        ({"QIMO_KAFKA__BOOTSTRAP": "a:1, b:2"}, "kafka.bootstrap: should be host:port, "),
        (
            {"QIMO_LAKE__WAREHOUSE": "/warehouse"},
            "lake.warehouse: should be a URI with its scheme, ",
        ),
        (
            {"QIMO_LAKE__METASTORE_URIS": "hive:9083"},
            "lake.metastore_uris: should be thrift://host:port, ",
        ),
        (
            {"QIMO_LAKE__DATABASE": "qimo`; DROP DATABASE qimo"},
            "lake.database: should be a name of letters, ",
        ),
        ({"QIMO_SPARK__MASTER": "locally"}, "spark.master: should be local[N], "),
        (
            {"QIMO_SPARK__CONF": '{"spark.hadoop.fs.s3a.secret.key": "x"}'},
            "spark.conf: spark.hadoop.fs.s3a.secret.key is a secret, ",
        ),
        (
            {"QIMO_DAGSTER__WEBSERVER": "dagster:3000"},
            "dagster.webserver: should be an http:// or https:// URL",
        ),
        ({"QIMO_MYSQL__PORT": "70000"}, "mysql.port: Input should be less than or equal to 65535"),
        ({"QIMO_MYSQL__CA_FILE": "/none/ca.pem"}, "mysql.ca_file: Path does not point to a file"),
        ({"QIMO_MYSQL__PASWORD": "x"}, "mysql.pasword: Extra inputs are not permitted"),
        (
            {"QIMO_MYSQL__PASSWORD_FILE": "/none/password"},
            "mysql.password: is given both itself and as password_file",
        ),
        (
            {"QIMO_HIVE__PASSWORD_FILE": "/none/password"},
            "hive.password_file: cannot be read: [Errno 2]",
        ),
        ({"QIMO_HIVE__AUTH": "LDAP"}, "hive.password: is needed with auth LDAP"),
        ({"QIMO_HIVE__PASSWORD": "x"}, "hive.password: is not used with auth NONE"),
        (
            {"QIMO_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
            "kafka.sasl_mechanism: is needed with security_protocol SASL_SSL",
        ),
        (
            {
                "QIMO_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
                "QIMO_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            },
            "kafka.username: is needed with sasl_mechanism",
        ),
        (
            {"QIMO_KAFKA__USERNAME": "x"},
            "kafka.security_protocol: is PLAINTEXT, which takes no sasl_mechanism, ",
        ),
        (
            {"QIMO_KAFKA__CA_FILE": __file__},
            "kafka.security_protocol: is PLAINTEXT, which takes no ca_file ",
        ),
        (
            {"QIMO_KAFKA__SECURITY_PROTOCOL": "SSL", "QIMO_KAFKA__CLIENT_KEY_PASSWORD": "x"},
            "kafka.client_file: is needed with client_key_password",
        ),
        (
            {"QIMO_REPORT__HOST": "0.0.0.0"},
            "report.access_password: is needed, because host 0.0.0.0 is not the loopback",
        ),
        (
            {"QIMO_REPORT__HOST": "::", "QIMO_REPORT__ACCESS_PASSWORD": "x"},
            "report.server_file: is needed, because host :: is not the loopback",
        ),
        (
            {"QIMO_KAFKA__MIN_INSYNC_REPLICAS": "2"},
            "kafka.min_insync_replicas: is 2, more than the 1 of replication",
        ),
    ],
)
def test_what_does_not_go_together_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert f"1 setting(s) missing or wrong (file: {settings_file()}):\n  {says}" in message()


KERBEROS = {
    "kafka": {
        "QIMO_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "QIMO_KAFKA__SASL_MECHANISM": "GSSAPI",
    },
    "hdfs": {"QIMO_LAKE__HADOOP_OPTIONS": '{"hadoop.security.authentication": "Kerberos"}'},
    "metastore": {"QIMO_LAKE__HADOOP_OPTIONS": '{"hive.metastore.sasl.enabled": "true"}'},
}


@pytest.mark.parametrize("modules", ["java.base jdk.security.auth", None])
@pytest.mark.parametrize("system", [*KERBEROS, None])
@pytest.mark.usefixtures("required")
def test_a_java_without_kerberos_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str | None, modules: str | None
) -> None:
    for name, value in KERBEROS.get(system or "", {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QIMO_SPARK__JAVA_HOME", str(tmp_path))
    whole = "java.base jdk.security.auth jdk.security.jgss"
    (tmp_path / "release").write_text(f'JAVA_VERSION="17.0.9"\nMODULES="{modules or whole}"\n')
    if modules and system:
        told = message()
        assert "\n  spark.java_home: " in told
        assert f"the Java in {tmp_path} has no module jdk.security.jgss" in told
        assert "install a JDK 17" in told
    else:
        load_settings()


def test_an_unknown_group_of_the_file_is_named(required: Path) -> None:
    write(required / "qimo.toml", '[kafak]\ntopic = "x"\n')
    assert "  kafak: Extra inputs are not permitted\n" in message()


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(
    "uri",
    [
        "hdfs://nameservice1/warehouse",
        "hdfs://host:8020/warehouse",
        "s3a://bucket/warehouse",
        "file:/warehouse",
    ],
)
@pytest.mark.parametrize(
    "master", ["local[2]", "local[*]", "spark://a:7077,b:7077", "yarn", "k8s://https://host:6443"]
)
def test_warehouses_and_masters_of_every_kind_are_taken(
    monkeypatch: pytest.MonkeyPatch, uri: str, master: str
) -> None:
    monkeypatch.setenv("QIMO_LAKE__WAREHOUSE", uri)
    monkeypatch.setenv("QIMO_SPARK__MASTER", master)
    assert (load_settings().lake.warehouse, load_settings().spark.master) == (uri, master)


# --- secrets


@pytest.mark.usefixtures("required")
def test_a_secret_may_stand_in_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "password", " of the file \n")
    monkeypatch.delenv("QIMO_MYSQL__PASSWORD")
    monkeypatch.setenv("QIMO_MYSQL__PASSWORD_FILE", str(tmp_path / "password"))
    assert load_settings().mysql.password.get_secret_value() == " of the file "


def test_no_secret_has_a_default() -> None:
    secrets = {
        f"{group}.{name}": field.default
        for group, model in GROUPS.items()
        for name, field in model.model_fields.items()
        if field.annotation in SECRETS
    }
    assert len(secrets) >= 5
    assert all(default in (None, PydanticUndefined) for default in secrets.values()), secrets


@pytest.mark.usefixtures("required")
def test_no_password_in_what_is_printed() -> None:
    settings = load_settings()
    shown = [
        repr(settings),
        str(settings),
        repr(settings.mysql),
        settings.model_dump_json(),
        json.dumps(settings.model_dump(), default=str),
    ]
    assert all(PASSWORD not in text and "**********" in text for text in shown)


@pytest.mark.usefixtures("required")
def test_no_password_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QIMO_MYSQL__PORT", "x")
    monkeypatch.delenv("QIMO_MYSQL__HOST")
    said = message()
    assert "mysql.host" in said
    assert PASSWORD not in said


@pytest.mark.usefixtures("required")
def test_no_password_in_the_cause_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QIMO_MYSQL__HOST")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert PASSWORD not in str(raised.value.__cause__)
