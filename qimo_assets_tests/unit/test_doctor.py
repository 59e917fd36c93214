"""What `doctor` tells where nothing answers, and that it neither waits for ever nor
tells a secret.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from qimo_assets import cli, doctor
from qimo_assets.doctor import QUESTIONS, Question
from qimo_assets.settings import Settings, load_settings
from qimo_assets_tests.unit.test_clients import SECRETS, SECURED

HADOOP_SECRET = "hadoop-option"  # pragma: allowlist secret  # made up for a test


@pytest.fixture
def settings(required: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with secrets and endpoints at which nobody listens."""
    for name, value in {**SECURED, **SECRETS}.items():
        monkeypatch.setenv(
            name, f'{{"some.option": "{value}"}}' if name == "QIMO_LAKE__HADOOP_OPTIONS" else value
        )
    for name in ("QIMO_KAFKA__JAVA_OPTIONS", "QIMO_KAFKA__LIBRDKAFKA_OPTIONS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("QIMO_MYSQL__PORT", "9")
    monkeypatch.setenv("QIMO_REPORT__PORT", "9")
    monkeypatch.setenv("QIMO_DAGSTER__WEBSERVER", "http://127.0.0.1:9")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return load_settings()


def test_where_nothing_answers_each_question_says_so_and_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ASK_SECONDS", 2)
    answers = doctor.examine(settings, seconds=90)
    by_name = {answer.name: answer for answer in answers}
    # There is a Java, and the warehouse is a directory of this machine.
    assert {answer.name for answer in answers if answer.ok} == {"java", "warehouse"}
    assert (
        by_name["warehouse"].found
        == "file:/none/warehouse answers and is not there yet; the first batch makes it"
    )
    assert [
        answer.name for answer in answers if not answer.ok and not (answer.found and answer.advice)
    ] == []
    assert (by_name["log directory"].found, by_name["dagster storage"].found) == (
        "there is no directory /none/chat",
        "DAGSTER_HOME is not set",
    )
    shown = doctor.render(answers) + json.dumps(doctor.as_dict(answers))
    assert shown.count("FAIL") == len(QUESTIONS) - 2
    assert [name for name, secret in SECRETS.items() if secret in shown] == []


def test_a_secret_that_a_library_repeats_is_not_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeat(_: Settings) -> str:
        raise ValueError(" ".join(SECRETS.values()))

    monkeypatch.setattr(
        doctor,
        "QUESTIONS",
        (Question("x", repeat, "do"), Question("y", lambda _: HADOOP_SECRET, "do")),
    )
    answers = doctor.examine(settings)
    assert [
        (answer.ok, answer.found.replace("java-option librdkafka-option", "options"))
        for answer in answers
    ] == [
        (False, "******** ******** options ******** ******** ******** ********"),
        (True, "********"),
    ]


def test_a_question_that_hangs_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr(
        doctor,
        "QUESTIONS",
        (Question("x", lambda _: str(asked.wait()), "wait"), Question("y", lambda _: "here", "do")),
    )
    answers = doctor.examine(settings, seconds=1)
    asked.set()
    assert [(answer.ok, answer.found, answer.advice) for answer in answers] == [
        (False, "no answer within 1 s", "wait"),
        (True, "here", ""),
    ]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("works", [True, False])
def test_the_exit_status_says_whether_all_work(
    monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    monkeypatch.setattr(doctor, "QUESTIONS", (Question("x", lambda _: str(1 // works), "do"),))
    done = CliRunner().invoke(cli.cli, ["doctor", "--json"])
    assert done.exit_code == (0 if works else 1)
    told = json.loads(done.output)
    assert (told["ok"], [(item["name"], item["ok"]) for item in told["questions"]]) == (
        works,
        [("x", works)],
    )


def test_log_files_that_cannot_be_read_are_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chat.log").touch()
    source = settings.source.model_copy(update={"log_dir": tmp_path})
    question = next(question for question in QUESTIONS if question.name == "log directory")
    assert (
        question.ask(settings.model_copy(update={"source": source})) == f"{tmp_path}: 1 log files"
    )
    (tmp_path / "chat.log").write_bytes(b"line\n")
    os.utime(tmp_path / "chat.log", (0, 0))
    with pytest.raises(
        doctor.Wrong, match=r"1 of 1 log files are not read: 'chat\.log': it has no"
    ):
        question.ask(settings.model_copy(update={"source": source}))
    monkeypatch.setattr(doctor, "most_files", lambda: 0)
    with pytest.raises(doctor.Wrong, match="there are 1 log files, and the agent can hold 0 open"):
        question.ask(settings.model_copy(update={"source": source}))
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    with pytest.raises(doctor.Wrong, match="1 of 1 log files cannot be read"):
        question.ask(settings.model_copy(update={"source": source}))
