"""Every endpoint, path and limit of the platform, typed.

A value is looked for in this order: environment variable (`QIMO_KAFKA__BOOTSTRAP`), settings file (`QIMO_CONFIG`,
else `$QIMO_HOME/qimo.toml`, which `./qimo up` writes for the embedded stack), the default below. Secrets have no
default. Nothing here opens a connection.
"""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what to do."""


def qimo_home() -> Path:
    """Return the directory that holds all state: `QIMO_HOME`, else `.qimo` in the checkout."""
    return Path(os.environ.get("QIMO_HOME") or PROJECT_ROOT / ".qimo").resolve()


def settings_file() -> Path:
    """Return the settings file: `QIMO_CONFIG`, else the one that the embedded stack writes."""
    return Path(os.environ.get("QIMO_CONFIG") or qimo_home() / "qimo.toml")


class SourceSettings(BaseModel):
    """The chat servers' log files and the agent that tails them."""

    log_dir: Path = Field(description="Directory in which the chat servers append their lines.")
    file_pattern: str = Field(default=r".*\.log", description="Regular expression of the file names that are tailed.")
    host: str = Field(default_factory=socket.gethostname, description="Name of this chat server; part of a line's identity.")
    position_file: Path = Field(description="Where the agent keeps how far it read each file.")
    link_dir: Path = Field(
        default_factory=lambda values: values["position_file"].parent / "links",
        description="Directory of the links that the agent tails, on the file system of log_dir; `links` beside the position file unless set.",
    )
    agent: str = Field(default="7mo_kafka_channel", description="The agent's configuration: a file of flume_conf/, without its ending.")


class KafkaSettings(BaseModel):
    """The broker and the topic."""

    bootstrap: str = Field(description="host:port, comma separated.")
    topic: str = Field(default="7MO-MSG", description="Topic of the chat lines.")
    partitions: int = Field(default=4, ge=1, description="Partitions of the topic when it is created.")
    replication: int = Field(default=1, ge=1, description="Replicas of each partition when the topic is created.")
    max_message_bytes: int = Field(default=33_554_432, description="Largest record that the topic takes, in bytes.")
    retention_hours: int = Field(default=168, ge=1, description="How long the topic keeps a line when the topic is created.")
    progress_group: str = Field(default="qimo-lake", description="Consumer group under which the lake's progress is committed, so that any tool sees the lag.")
    timeout_seconds: float = Field(default=10, gt=0, description="Time-out of each call to the broker.")


class SparkSettings(BaseModel):
    """The Spark driver of the streaming job."""

    master: str = Field(default="local[2]", description="local[*], spark://, yarn or k8s://.")
    driver_memory: str = Field(default="1536m", description="Heap of the driver; in local mode it does the work as well.")
    jars: list[Path] = Field(default_factory=list, description="Hudi bundle, Kafka connector and Avro, on the driver's class path.")
    java_home: Path | None = Field(default=None, description="A Java 17; None takes JAVA_HOME or PATH.")
    scratch_dir: Path | None = Field(default=None, description="Directory of shuffle and spill files; None takes Spark's own default.")
    conf: dict[str, str] = Field(default_factory=dict, description="Further Spark properties; they win over the platform's own.")


class LakeSettings(BaseModel):
    """The Hudi tables and the streaming job that writes them."""

    warehouse: str = Field(description="URI under which the tables stand, such as hdfs://host:port/warehouse.")
    checkpoint: str = Field(description="URI of the streaming query's checkpoint.")
    metastore_uris: str = Field(description="thrift://host:port of the Hive metastore.")
    database: str = Field(default="qimo", description="Database of the tables and views.")
    buckets: int = Field(default=2, ge=1, description="File groups per day; also the number of tasks that write one day.")
    trigger_seconds: int = Field(default=5, ge=0, description="Seconds between the starts of two micro-batches.")
    max_lines_per_batch: int = Field(default=200_000, ge=1, description="Largest micro-batch, in lines.")
    max_line_bytes: int = Field(default=1_048_576, ge=1, description="Longer lines go to quarantine as too_long.")
    max_ahead_minutes: int = Field(default=60, ge=0, description="A message further in the future is quarantined as time_ahead.")
    accept_data_loss: bool = Field(
        default=False, description="Go on after the topic deleted lines that the lake had not read; false stops the stream with instructions."
    )
    report_seconds: int = Field(default=10, ge=1, description="Least time between two materialization events of one day.")
    ip2region_jar: Path = Field(description="The jar that holds ip2region's database (net.dreamlu:mica-ip2region).")


class HiveSettings(BaseModel):
    """HiveServer2 (here: the Spark Thrift server)."""

    host: str = Field(description="Host of HiveServer2.")
    port: int = Field(description="Port of HiveServer2.")
    username: str = Field(default="qimo", description="User name of the session.")
    timeout_seconds: int = Field(default=300, gt=0, description="Time-out of a query.")


class MySQLSettings(BaseModel):
    """The reporting database."""

    host: str = Field(description="Host of MySQL.")
    port: int = Field(default=3306, description="Port of MySQL.")
    database: str = Field(default="qimo_report", description="Database of the metric tables.")
    username: str = Field(default="qimo_publisher", description="Account that publishes the metrics.")
    password: SecretStr = Field(description="Its password.")
    timeout_seconds: int = Field(default=10, gt=0, description="Time-out of a connection and of a lock.")
    mask_accounts: bool = Field(default=False, description="Publish accounts as 138****1234; days published before keep theirs until published again.")


class ReportSettings(BaseModel):
    """The built-in report: its files, its server and the account that reads the tables."""

    directory: Path = Field(default_factory=lambda: qimo_home() / "report", description="Directory of the report's files.")
    host: str = Field(default="127.0.0.1", description="Address on which the report is served.")
    port: int = Field(default=8088, ge=1, le=65535, description="Port on which the report is served.")
    username: str = Field(default="finebi_reader", description="Account that reads the metric tables.")
    password: SecretStr | None = Field(default=None, description="Its password; without one the report reads as the account that publishes.")
    mask_accounts: bool = Field(default=True, description="Show accounts as 138****1234.")


class Settings(BaseSettings):
    """All settings of the platform."""

    model_config = SettingsConfigDict(env_prefix="QIMO_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True)

    source: SourceSettings
    kafka: KafkaSettings
    spark: SparkSettings = Field(default_factory=SparkSettings)
    lake: LakeSettings
    hive: HiveSettings
    mysql: MySQLSettings
    report: ReportSettings = Field(default_factory=ReportSettings)

    @model_validator(mode="before")
    @classmethod
    def name_each_missing_setting(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take a group that is missing as a whole for one without values, so that what it needs is named."""
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
        lines = [f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in errors]
        raise SettingsError(
            f"{len(lines)} setting(s) missing or wrong (file: {settings_file()}):\n" + "\n".join(lines) + "\n"
            "Run ./qimo up to write the embedded stack's settings, or set QIMO_<GROUP>__<NAME>."
        ) from error
    except ValueError as error:  # neither the file's parser nor the environment's says where
        groups = tuple(f"QIMO_{name.upper()}" for name in Settings.model_fields)
        variables = ", ".join(sorted(name for name in os.environ if name.startswith(groups))) or "nothing"
        raise SettingsError(
            f"The settings cannot be read: {error}\nThe file is {settings_file()} (TOML); set in the environment: {variables}.\n"
            "A list or a whole group is JSON there, such as QIMO_SPARK__JARS='[\"/opt/hudi.jar\"]'."
        ) from error
