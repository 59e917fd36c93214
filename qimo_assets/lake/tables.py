"""The Hudi tables as data: names, keys, write options."""

from __future__ import annotations

from dataclasses import dataclass

from qimo_assets.contract import FIELDS
from qimo_assets.settings import LOG_FILE_BUFFER_BYTES, LakeSettings

WRITTEN_AT = "written_at"
# Commits that stay in the timeline at least; what they tell is read by whoever was away meanwhile.
KEPT_COMMITS = 100
ASIDE = ".before"


@dataclass(frozen=True)
class Table:
    """One Hudi table of the lake.

    Attributes:
        name: Name in the metastore and directory under the warehouse.
        columns: Its columns, out of the parsed row.
        comment: What it holds.
        key: The column that names a row of a day.
    """

    name: str
    columns: tuple[str, ...]
    comment: str
    key: str = "message_id"

    @property
    def given_columns(self) -> tuple[str, ...]:
        """Its columns but for `written_at`, which the writer gives."""
        return tuple(column for column in self.columns if column != WRITTEN_AT)

    def path(self, lake: LakeSettings) -> str:
        """Return the table's base path."""
        return f"{directory(lake)}/{self.name}"


def directory(lake: LakeSettings) -> str:
    """Return the directory of a lake's tables."""
    return f"{lake.warehouse}/{lake.database}.db"


def set_aside(lake: LakeSettings, name: str) -> str:
    """Return where `./qimo migrate` sets a table of an earlier release aside."""
    return f"{directory(lake)}/{ASIDE}/{name}"


ORIGIN = (
    "source_host",
    "source_file",
    "source_offset",
    "kafka_partition",
    "kafka_offset",
    "collected_at",
    WRITTEN_AT,
    "source_id",
)
MESSAGE = Table(
    "chat_message",
    (
        *(
            "message_id",
            "day",
            "hour",
            "msg_time",
            "sender_nickname",
            "sender_account",
            "sender_sex",
            "sender_ip",
            "sender_os",
        ),
        *(
            "sender_phone_type",
            "sender_network",
            "sender_longitude",
            "sender_latitude",
            "receiver_nickname",
            "receiver_ip",
        ),
        *(
            "receiver_account",
            "receiver_os",
            "receiver_phone_type",
            "receiver_network",
            "receiver_longitude",
            "receiver_latitude",
        ),
        *(
            "receiver_sex",
            "msg_type",
            "distance",
            "message",
            "sender_country",
            "sender_province",
            "sender_city",
        ),
        *("receiver_country", "receiver_province", "receiver_city"),
        *ORIGIN,
        # Hudi takes new columns at the end alone.
        *(column for field in FIELDS if field.added for column in field.columns),
    ),
    "Each good line, once.",
)
QUARANTINE = Table(
    "chat_quarantine",
    ("message_id", "day", "reason", "raw", *ORIGIN),
    "Each rejected line, once, with its bytes and the reason.",
)
# What a micro-batch is written to.
BATCH_TABLES = (MESSAGE, QUARANTINE)

SENT_AGAIN = Table(
    "chat_sent_again",
    ("again_id", "day", "table_name", "lines", WRITTEN_AT),
    "How many lines of a table and day came again, in all.",
    key="again_id",
)
TABLES = (*BATCH_TABLES, SENT_AGAIN)


def table_options(table: Table) -> dict[str, str]:
    """Return Hudi's options that a table is made with; no later write may have others."""
    return {
        "hoodie.table.name": table.name,
        "hoodie.datasource.write.table.type": "MERGE_ON_READ",
        "hoodie.datasource.write.recordkey.field": table.key,
        "hoodie.datasource.write.partitionpath.field": "day",
        "hoodie.datasource.write.hive_style_partitioning": "true",
        # A row is written once; the few that replace another are later than it.
        "hoodie.record.merge.mode": "COMMIT_TIME_ORDERING",
        # Looks a key up in the days that are written to, and only for what replaces or deletes.
        "hoodie.index.type": "SIMPLE",
    }


def write_options(table: Table) -> dict[str, str]:
    """Return Hudi's options for writing into `table`, but for the operation."""
    return {
        **table_options(table),
        "hoodie.combine.before.insert": "false",
        "hoodie.combine.before.upsert": "false",
        "hoodie.datasource.write.row.writer.enable": "true",
        "hoodie.bulkinsert.sort.mode": "NONE",
        # The metadata table is one more table to commit for each small batch: 6,260 rows/s with it,
        # 19,100 without.
        "hoodie.metadata.enable": "false",
        "hoodie.upsert.shuffle.parallelism": "2",
        "hoodie.delete.shuffle.parallelism": "2",
        # gzip, the default, is slow.
        "hoodie.parquet.compression.codec": "zstd",
        # Nobody looks a key up in a bloom filter. An append makes one all the same, which for the
        # keys of its default takes 431 kB of each file.
        "hoodie.parquet.bloom.filter.enabled": "false",
        "hoodie.bloom.index.filter.type": "SIMPLE",
        "hoodie.index.bloom.num_entries": "1",
        # `services.py` does what there is to do, beside the batches.
        "hoodie.compact.inline": "false",
        "hoodie.memory.dfs.buffer.max.size": str(LOG_FILE_BUFFER_BYTES),
        "hoodie.clean.automatic": "false",
        "hoodie.keep.min.commits": str(KEPT_COMMITS),
        "hoodie.keep.max.commits": str(KEPT_COMMITS + 40),
        "hoodie.embed.timeline.server": "false",
        "hoodie.write.markers.type": "DIRECT",
    }


def sync_options(table: Table, lake: LakeSettings) -> dict[str, str]:
    """Return Hudi's options that make the table and its partitions known to the Hive metastore."""
    return {
        "hoodie.datasource.hive_sync.enable": "true",
        "hoodie.datasource.hive_sync.mode": "hms",
        "hoodie.datasource.hive_sync.metastore.uris": lake.metastore_uris,
        "hoodie.datasource.hive_sync.database": lake.database,
        "hoodie.datasource.hive_sync.table": table.name,
        "hoodie.datasource.hive_sync.partition_fields": "day",
        "hoodie.datasource.hive_sync.partition_extractor_class": (
            "org.apache.hudi.hive.MultiPartKeysValueExtractor"
        ),
        "hoodie.datasource.meta_sync.condition.sync": "true",
    }
