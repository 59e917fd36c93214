"""The Hudi tables as data: names, keys, write options."""

from __future__ import annotations

from dataclasses import dataclass

from qimo_assets.contract import FIELDS
from qimo_assets.settings import LOG_FILE_BUFFER_BYTES, LakeSettings

WRITTEN_AT = "written_at"
# Commits between two compactions, at least.
COMPACTED_AFTER = 20


@dataclass(frozen=True)
class Table:
    """One Hudi table of the lake.

    Attributes:
        name: Name in the metastore and directory under the warehouse.
        columns: Its columns, out of the parsed row.
        comment: What it holds.
        key: The column that names a row; a row with the same key in the same day replaces the one
            before.
        buckets: File groups per day; None takes the setting.
    """

    name: str
    columns: tuple[str, ...]
    comment: str
    key: str = "message_id"
    buckets: int | None = None

    @property
    def given_columns(self) -> tuple[str, ...]:
        """Its columns but for `written_at`, which the writer gives."""
        return tuple(column for column in self.columns if column != WRITTEN_AT)

    def path(self, lake: LakeSettings) -> str:
        """Return the table's base path."""
        return f"{lake.warehouse}/{lake.database}.db/{self.name}"


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

ARRIVAL = Table(
    "chat_arrival",
    ("arrival_id", "day", "table_name", "batch", "instant", "lines", WRITTEN_AT),
    "How many lines each commit wrote for each day, lines that came again included.",
    key="arrival_id",
    buckets=1,
)


def write_options(
    table: Table, lake: LakeSettings, compacted_after: int = COMPACTED_AFTER
) -> dict[str, str]:
    """Return Hudi's options for writing into `table`, but for the operation.

    Args:
        table: The table.
        lake: Where it is.
        compacted_after: Commits since the last compaction after which the next one is due.
    """
    buckets = str(table.buckets or lake.buckets)
    return {
        "hoodie.table.name": table.name,
        "hoodie.datasource.write.table.type": "MERGE_ON_READ",
        "hoodie.datasource.write.recordkey.field": table.key,
        "hoodie.datasource.write.partitionpath.field": "day",
        "hoodie.datasource.write.hive_style_partitioning": "true",
        # Lines sent again have the same key in the same day, so the later one replaces its equal:
        # no ordering field is needed, and none to compare makes writing quicker (28,000 rows/s
        # against 19,100 with event-time ordering and a combine before the upsert).
        "hoodie.record.merge.mode": "COMMIT_TIME_ORDERING",
        "hoodie.combine.before.upsert": "false",
        "hoodie.index.type": "BUCKET",
        "hoodie.bucket.index.num.buckets": buckets,
        # The metadata table is one more table to commit for each small batch: 6,260 rows/s with it,
        # 19,100 without.
        "hoodie.metadata.enable": "false",
        "hoodie.upsert.shuffle.parallelism": buckets,
        # A compaction writes whole files, which gzip, the default, makes slow; nobody looks a key
        # up in a bloom filter where buckets say where it is.
        "hoodie.parquet.compression.codec": "zstd",
        "hoodie.parquet.bloom.filter.enabled": "false",
        # `compaction.py` does what is scheduled.
        "hoodie.compact.inline": "false",
        "hoodie.compact.schedule.inline": "true",
        # Of each of four tasks, beside a batch; the rest goes to disk. By default each takes 368 MB
        # of a heap of 1.5 GB, which two at a time could.
        "hoodie.memory.compaction.max.size": str(128 * 2**20),
        # By default the keys of what goes to disk stay in memory, 250 bytes a row: those of 4
        # million rows, an hour of lines that were caught up with, left no room for a batch. RocksDB
        # has them on disk as well; a million rows took 65 s with it and 45 s without, and nothing
        # goes to disk at 1,000 lines/s.
        "hoodie.common.spillable.diskmap.type": "ROCKS_DB",
        # Rows are held as objects until a block is full, and by default it takes 256 MB: the driver
        # ran out of memory at batches of 200,000 lines, which were the largest then. With these
        # such a batch takes 10 s instead of 13, of which collecting garbage was 5.
        "hoodie.logfile.data.block.max.size": str(16 * 2**20),
        # A compaction opens each log file with a buffer of 16 MB by default: 160 files, one for
        # each commit and bucket, had the collector at work while batches waited. A batch beside a
        # compaction took 3.1 to 3.5 s so and 3.9 to 5.1 s with the default.
        "hoodie.memory.dfs.buffer.max.size": str(LOG_FILE_BUFFER_BYTES),
        "hoodie.compact.inline.max.delta.commits": str(compacted_after),
        "hoodie.clean.commits.retained": "24",
        # Files come free by a compaction, so looking for them after each commit (7 % of a batch's
        # waiting) finds nothing 19 times of 20.
        "hoodie.clean.trigger.max.commits": str(COMPACTED_AFTER),
        "hoodie.keep.min.commits": "60",
        "hoodie.keep.max.commits": "80",
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
