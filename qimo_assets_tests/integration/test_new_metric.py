"""A metric is added by one .sql file and one entry in the catalog, and is then in Hive, MySQL,
Dagster and the report.

Both are put into a copy of the checkout, which works on the shared stack beside the checkout
itself; at the end the stack is as it was.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from qimo_assets.report.files import Site
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.services import common_environment
from qimo_assets_tests.conftest import COMMAND_SECONDS, Stack

Ask = Callable[[str], list[Any]]
NAME = "receiver_os"
REPORT_DIRECTORY = "QIMO_REPORT__DIRECTORY"
VIEW = """-- Messages and receivers by the receiver's operating system.
CREATE OR REPLACE VIEW {{ database }}.receiver_os (
  day COMMENT '日期',
  os COMMENT '收件人操作系统',
  messages COMMENT '消息数',
  receivers COMMENT '收件人数'
)
COMMENT '各收件人操作系统的消息量'
AS
SELECT
  day,
  coalesce(receiver_os, '{{ unknown }}') AS os,
  count(*) AS messages,
  count(DISTINCT receiver_account) AS receivers
FROM {{ database }}.v_message
GROUP BY day, coalesce(receiver_os, '{{ unknown }}')
"""
ENTRY = """    Metric(
        name="receiver_os",
        grain=(Column("os", TEXT, "收件人操作系统"),),
        measures=(MESSAGES, RECEIVERS),
        title_zh="各收件人操作系统的消息量",
        title_en="Messages by receiver's operating system",
        unit="条",
        additive="sum",
    ),
"""
TOLD = f"""
import json
import dagster as dg
from qimo_assets.definitions import defs
key = dg.AssetKey(["mysql", "{NAME}"])
repository = defs.get_repository_def()
node = repository.asset_graph.get(key)
selections = [item.asset_selection for item in repository.sensor_defs if item.asset_selection]
target = {{key for selection in selections for key in selection.resolve(repository.asset_graph)}}
with dg.DagsterInstance.get() as instance:
    checks = {{
        check.name: [item.status.value for item in instance.event_log_storage.get_asset_check_execution_history(check, limit=1)]
        for check in repository.asset_graph.asset_check_keys if check.asset_key == key
    }}
    days = sorted(instance.get_materialized_partitions(key))
fails_after = node.freshness_policy.fail_window.to_timedelta().total_seconds() / 60
print(json.dumps({{"checks": checks, "days": days, "fails after": fails_after, "automated": key in target and node.automation_condition is not None}}))
"""
FORGET = f"""
import dagster as dg
with dg.DagsterInstance.get() as instance:
    instance.wipe_assets([dg.AssetKey(["mysql", "{NAME}"]), dg.AssetKey(["hive", "{NAME}"])])
"""


def python(stack: Stack, code: str) -> str:
    """Run Python on the stack's instance with the modules of the stack's checkout."""
    env = {**stack.env, **common_environment(stack.layout()), "PYTHONPATH": str(stack.checkout)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=stack.checkout,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def materialize(stack: Stack, key: str, *options: str) -> None:
    """Materialize an asset with the stack's checkout."""
    stack.qimo("dagster", "asset", "materialize", "--select", f"key:{key}", *options)


@pytest.fixture
def copy(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The shared stack, commanded from a copy of the checkout; whatever the copy added is taken
    away again.
    """
    checkout = tmp_path / "checkout"
    shutil.copytree(
        PROJECT_ROOT,
        checkout,
        ignore=shutil.ignore_patterns(".git", ".qimo", "__pycache__", ".*_cache"),
    )
    # A report of its own, for the stack's is written anew whenever anything is published.
    yield replace(
        stack, checkout=checkout, env={**stack.env, REPORT_DIRECTORY: str(tmp_path / "report")}
    )
    settings = stack.settings()
    with HiveResource.from_settings(settings.hive).session() as session:
        session.execute(f"DROP VIEW IF EXISTS {settings.lake.database}.{NAME}")
    with (
        MySQLResource.from_settings(settings.mysql).connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DROP TABLE IF EXISTS {NAME}")
        cursor.execute("DELETE FROM publication WHERE metric = %s", (NAME,))
        connection.commit()
    python(stack, FORGET)


def test_a_metric_is_one_sql_file_and_one_catalog_entry(
    copy: Stack, ask_mysql: Ask, ask_hive: Ask
) -> None:
    # The tests before this one left lines of some days; run alone it brings its own.
    if not ask_mysql("SHOW TABLES LIKE 'data_quality'"):
        copy.qimo("feed", "--lines", "2000", "--days", "2", "--bad", "0.02", "--seed", "8")
    assert copy.verified()["ok"]
    (copy.checkout / "qimo_assets" / "views" / "sql" / f"{NAME}.sql").write_text(VIEW)
    catalog = copy.checkout / "qimo_assets" / "metrics" / "catalog.py"
    before, head, after = catalog.read_text().partition("METRICS: tuple[Metric, ...] = (\n")
    catalog.write_text(before + head + ENTRY + after)

    every = [day for (day,) in ask_mysql("SELECT day FROM message_total ORDER BY day DESC")]
    # The newest day of some minutes ago is held against the publications. It may be any of the last
    # week, whose days came one after the other, or the newest of long ago, which tests before bring.
    last_week = [day for day in every if every[0] - day < timedelta(days=7)]
    week = [
        str(every[0] - timedelta(days=back)) for back in range((every[0] - last_week[-1]).days + 1)
    ]
    long_ago = [str(day) for day in every[len(last_week) :][:1]]
    materialize(copy, f"hive/{NAME}")
    for day in long_ago:
        materialize(copy, f"mysql/{NAME}", "--partition", day)
    materialize(copy, f"mysql/{NAME}", "--partition-range", f"{week[-1]}...{week[0]}")
    days = [*week, *long_ago]
    materialize(copy, "report/daily")

    columns = {"day": "日期", "os": "收件人操作系统", "messages": "消息数", "receivers": "收件人数"}
    assert {name: comment for name, _, comment in ask_hive(f"DESCRIBE {NAME}")} == columns
    in_schema = f"WHERE table_schema = DATABASE() AND table_name = '{NAME}'"
    assert (
        dict(
            ask_mysql(
                f"SELECT column_name, column_comment FROM information_schema.columns {in_schema}"
            )
        )
        == columns
    )
    assert ask_mysql(f"SELECT table_comment FROM information_schema.tables {in_schema}") == [
        ("各收件人操作系统的消息量",)
    ]
    counted = ask_hive(
        "SELECT day, coalesce(receiver_os, '未知'), count(*), count(DISTINCT "
        "receiver_account) FROM chat_message_rt "
        f"WHERE day IN ({', '.join(map(repr, days))}) GROUP BY 1, 2"
    )
    published = [
        (str(day), *rest)
        for day, *rest in ask_mysql(f"SELECT day, os, messages, receivers FROM {NAME}")
    ]
    assert sorted(published) == sorted(counted)
    assert len(counted) > len(days)

    told = json.loads(python(copy, TOLD).splitlines()[-1])
    assert told["automated"]
    assert told["days"] == sorted(days)
    assert told["fails after"] == 60
    assert set(told["checks"]) == {
        "adds_up_to_total",
        "figures_are_sound",
        "is_published_whole",
        "newest_day_is_published",
    }
    assert {
        name: status for name, status in told["checks"].items() if status != ["SUCCEEDED"]
    } == {}

    site = Site(Path(copy.env[REPORT_DIRECTORY]))
    shown = next(
        metric for metric in json.loads(site.index.read_text())["metrics"] if metric["name"] == NAME
    )
    assert (shown["zh"], shown["en"], shown["grain"]) == (
        "各收件人操作系统的消息量",
        "Messages by receiver's operating system",
        ["os"],
    )
    of_day = json.loads(site.month(days[0][:7]).read_text())[days[0]][NAME]
    assert sorted(of_day) == sorted(
        [os, messages, receivers] for day, os, messages, receivers in published if day == days[0]
    )
