"""What docs/readers.md tells those who read from outside, tried as it stands there: their own
Spark, hudi-rs, dbt, SQLAlchemy, and a consumer of the topic. No code of the platform reads here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import DEFAULT_PORT_OFFSET
from qimo_assets.stack.profiles import USUAL_PORTS
from qimo_assets_tests.conftest import COMMAND_SECONDS, Stack
from qimo_assets_tests.hdfs import SHELL, hadoop

Ask = Callable[[str], list[Any]]
TEXT = (PROJECT_ROOT / "docs" / "readers.md").read_text()
TABLE = "chat_message"
# A program of somebody who has Spark and the page, and nothing of this project.
OWN_SPARK = Path(__file__).with_name("own_spark.py")
OWN_HUDI = Path(__file__).with_name("own_hudi.py")
# Programs of readers, which nobody else needs.
PACKAGES = ("dbt-core==1.11.16", "dbt-spark[PyHive]==1.10.3", "hudi==0.5.0")


def block(begins: str) -> list[str]:
    """Return the lines of the page's block that begins so."""
    [found] = [part for part in TEXT.split("\n\n") if part.lstrip().startswith(begins)]
    return [line.strip() for line in found.splitlines()]


@pytest.fixture(scope="module")
def day(stack: Stack, ask_hive: Ask) -> str:
    """The newest day, of two commits at least, with everything arrived."""
    for _ in range(2):
        stack.qimo("feed", "--lines", "50")
        assert stack.verified()["ok"]
    return ask_hive("SELECT max(day) FROM message_total")[0][0]


def files(stack: Stack) -> dict[str, str]:
    """Return name -> content of the files on the page that begin with their names."""
    found = re.findall(r"^    (?:#|--) (\S+\.(?:yml|sql))\n((?:    .*\n)+)", TEXT, re.MULTILINE)
    return {name: at_this_stack(stack, textwrap.dedent(content)) for name, content in found}


def at_this_stack(stack: Stack, text: str) -> str:
    """Return an address of the page with this stack's ports instead of the usual ones."""
    ports = {
        str(USUAL_PORTS[name] + DEFAULT_PORT_OFFSET): str(port)
        for name, port in stack.layout().ports.items()
    }
    return re.sub(
        r"(127\.0\.0\.1(?::|, port: ))(\d+)", lambda found: found[1] + ports[found[2]], text
    )


@pytest.fixture(scope="module")
def own_spark(stack: Stack, day: str) -> dict[str, Any]:
    """What a Spark of somebody's own reads, with the page's properties."""
    properties = dict(line.split(None, 1) for line in block("spark.jars.packages"))
    # The same jars, without a registry.
    assert properties.pop("spark.jars.packages") in (PROJECT_ROOT / "jars.lock").read_text()
    jars = class_path(stack.layout(), "spark")
    asked = {
        "properties": {
            **{name: at_this_stack(stack, value) for name, value in properties.items()},
            "spark.jars": ",".join(map(str, jars)),
            "spark.ui.enabled": "false",
            # Where Hive leaves an empty directory of each session.
            "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={stack.layout().tmp}",
        },
        "day": day,
        "kafka": stack.status()["endpoints"]["kafka"],
        "topic": stack.settings().kafka.topic,
        "schema": " ".join(block('{"type": "record"')),
    }
    done = subprocess.run(
        [sys.executable, OWN_SPARK, json.dumps(asked)],
        env=stack.env,
        cwd=stack.home,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of an environment with `PACKAGES` are."""
    directory = tmp_path_factory.mktemp("readers") / "venv"
    if uv := shutil.which("uv"):
        make = [uv, "venv", "--python", sys.executable, directory]
        add = [uv, "pip", "install", "--quiet", "--python", directory / "bin" / "python"]
    else:
        make = [sys.executable, "-m", "venv", directory]
        # Few of its modules are imported, once.
        add = [directory / "bin" / "pip", "install", "--quiet", "--no-compile"]
    for command in (make, [*add, *PACKAGES]):
        subprocess.run(command, check=True, timeout=COMMAND_SECONDS)
    return directory / "bin"


def test_a_spark_of_ones_own_reads_the_lake(
    own_spark: dict[str, Any], ask_hive: Ask, day: str
) -> None:
    def rows(condition: str) -> int:
        return ask_hive(f"SELECT count(*) FROM {TABLE}_rt WHERE {condition}")[0][0]

    assert own_spark["days"] == [day]
    assert own_spark["rows"] == rows(f"day = '{day}'") > 0
    before, newest = own_spark["before"], own_spark["newest"]
    assert own_spark["as of the one before"] == rows(
        f"day = '{day}' AND _hoodie_commit_time <= '{before}'"
    )
    assert own_spark["since the newest"] == 0
    assert own_spark["since the one before"] == rows(f"_hoodie_commit_time = '{newest}'") > 0


def test_the_topic_is_read_by_the_schema_of_the_page(
    stack: Stack, own_spark: dict[str, Any]
) -> None:
    lines = (stack.home / "chat" / "chat-1.log").read_bytes().splitlines()
    assert own_spark["lines"]
    assert set(own_spark["lines"]) <= {line.decode(errors="replace") for line in lines}


def test_hudi_rs_reads_what_spark_reads(
    stack: Stack, programs: Path, own_spark: dict[str, Any], day: str, tmp_path: Path
) -> None:
    # It reads no HDFS.
    hadoop(stack.layout(), SHELL, "-get", own_spark["place"], str(tmp_path))
    done = subprocess.run(
        [programs / "python", OWN_HUDI, tmp_path / TABLE, day],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == own_spark["rows"]


def test_sqlalchemy_reads_the_views_and_lists_no_tables(stack: Stack, day: str) -> None:
    hive = stack.settings().hive
    engine = sqlalchemy.create_engine(f"hive://qimo@{hive.host}:{hive.port}/qimo")
    with engine.connect() as connection:
        dataset = f"SELECT * FROM (SELECT * FROM message_total) AS v WHERE day = '{day}'"
        [row] = connection.execute(sqlalchemy.text(dataset)).mappings().all()
        assert str(row["day"]) == day
        assert row["messages"] > 0
        assert set(sqlalchemy.inspect(connection).get_table_names()) == {"qimo"}


def test_dbt_builds_on_the_views(
    stack: Stack, programs: Path, ask_hive: Ask, tmp_path: Path
) -> None:
    for name, content in files(stack).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    done = subprocess.run(
        [programs / "dbt", "--no-send-anonymous-usage-stats", "run", "--profiles-dir", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    made = ask_hive("SELECT day, hour FROM dbt_chat.busiest_hour")
    busiest = "SELECT day, max_by(hour, messages) FROM message_hourly GROUP BY day"
    assert sorted(made) == sorted(ask_hive(busiest))


def test_sqlalchemy_reads_mysql_with_dates_and_comments(stack: Stack, day: str) -> None:
    [address] = [line for line in block("jdbc:mysql") if line.startswith("mysql+")]
    password = (stack.home / "secrets" / "mysql_reader").read_text().strip()
    url = sqlalchemy.make_url(at_this_stack(stack, address)).set(password=password)
    with sqlalchemy.create_engine(url).connect() as connection:
        columns = {
            column["name"]: column
            for column in sqlalchemy.inspect(connection).get_columns("data_quality")
        }
        query = sqlalchemy.text("SELECT rows_in_lake FROM data_quality WHERE day = :day")
        assert connection.execute(query, {"day": day}).scalar_one() > 0
    assert isinstance(columns["day"]["type"], sqlalchemy.Date)
    assert [name for name, column in columns.items() if not column.get("comment")] == []
