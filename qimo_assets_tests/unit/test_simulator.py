"""The simulator: how many lines, of which kinds, at which times, and the same bytes again."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from qimo_assets.contract import FIELDS, MIN_FIELDS, Reason
from qimo_assets.simulator import MAX_TOO_LONG, FeedError, FeedReport, feed

NOW = datetime(2024, 5, 3, 15, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
POSITION = {field.name: position for position, field in enumerate(FIELDS)}


def contents(report: FeedReport) -> list[bytes]:
    return [path.read_bytes() for path in report.files]


def lines_of(report: FeedReport) -> list[bytes]:
    return [line for content in contents(report) for line in content.split(b"\n")[:-1]]


def column(report: FeedReport, name: str) -> list[str]:
    return [line.decode().split("\x01")[POSITION[name]] for line in lines_of(report)]


def test_report_tells_what_is_in_the_files(tmp_path: Path) -> None:
    report = feed(tmp_path / "new", 25_000, seed=1, now=NOW)
    assert report.lines == len(lines_of(report)) == 25_000
    assert report.bytes == sum(map(len, contents(report)))
    assert (report.bad, report.late, report.repeated) == (0, 0, 0)
    assert len(report.files) > 1
    assert report.seconds > 0


def test_same_seed_and_now_give_the_same_bytes(tmp_path: Path) -> None:
    def fed(name: str, seed: int) -> list[bytes]:
        return contents(
            feed(tmp_path / name, 3_000, days=2, bad=0.1, late=0.1, repeat=0.1, seed=seed, now=NOW)
        )

    assert fed("a", 5) == fed("b", 5)
    assert fed("a2", 5) != fed("c", 6)


def test_lines_are_appended_and_the_last_one_is_whole(tmp_path: Path) -> None:
    first = feed(tmp_path, 500, seed=1, now=NOW)
    before = contents(first)
    second = feed(tmp_path, 700, seed=2, now=NOW)
    after = contents(second)
    assert all(
        new.startswith(old) and new.endswith(b"\n") for old, new in zip(before, after, strict=True)
    )
    assert len(lines_of(second)) == 1_200
    assert sum(map(len, after)) == first.bytes + second.bytes


def test_plain_lines_keep_the_contract_and_look_like_chat(tmp_path: Path) -> None:
    report = feed(tmp_path, 10_000, seed=3, now=NOW)
    lines = lines_of(report)
    assert {line.count(b"\x01") for line in lines} == {MIN_FIELDS - 1}
    assert 0 < sum(line.endswith(b"\r") for line in lines) < 500
    accounts = column(report, "sender_account")
    assert all(
        len(account) == 11 and account.isdigit()
        for account in accounts + column(report, "receiver_account")
    )
    busiest = max(map(accounts.count, set(accounts[:2_000])))
    assert busiest > 20 * len(accounts) / len(set(accounts))
    assert {"男", "女"} < set(column(report, "sender_sex"))
    assert {"TEXT", "IMAGE", "AUDIO"} < set(column(report, "msg_type"))
    assert {"Android", "iOS"} < set(column(report, "receiver_os"))
    assert {"4G", "5G", "WIFI"} < set(column(report, "receiver_network"))
    assert sum(text.endswith("KM") for text in column(report, "distance")) > 9_500


def test_phones_of_the_three_carriers_mostly_have_ipv6(tmp_path: Path) -> None:
    report = feed(tmp_path, 10_000, seed=3, now=NOW)
    addresses = list(
        zip(column(report, "sender_network"), column(report, "sender_ip"), strict=True)
    )

    def share(network: str) -> float:
        own = [address for of, address in addresses if of == network]
        return sum(":" in address for address in own) / len(own)

    assert 0.5 < share("4G") < share("5G") < 0.75
    assert 0.15 < share("WIFI") < 0.35
    for block in ("240e:", "2408:8", "2409:8"):
        assert sum(address.startswith(block) for _, address in addresses) > 500


@pytest.mark.parametrize("days", [1, 3])
def test_times_run_in_order_up_to_now_and_mostly_by_day(tmp_path: Path, days: int) -> None:
    report = feed(tmp_path, 20_000, days=days, seed=4, now=NOW)
    first, last = (
        (NOW - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S"),
        NOW.strftime("%Y-%m-%d %H:%M:%S"),
    )
    for content in contents(report):
        times = [line[:19].decode() for line in content.splitlines()]
        assert times == sorted(times)
    moments = column(report, "msg_time")
    assert first <= min(moments) < max(moments) <= last
    assert max(moments) > (NOW - timedelta(minutes=10)).strftime("%Y-%m-%d %H:%M:%S")
    night = sum("02" <= moment[11:13] < "06" for moment in moments)
    evening = sum("18" <= moment[11:13] < "22" for moment in moments)
    assert evening > 10 * night > 0


def test_now_without_a_zone_and_in_another_zone(tmp_path: Path) -> None:
    plain = feed(tmp_path / "a", 200, seed=1, now=NOW.replace(tzinfo=None))
    abroad = feed(tmp_path / "b", 200, seed=1, now=NOW.astimezone(ZoneInfo("UTC")))
    assert contents(plain) == contents(abroad)


def test_shares_of_bad_late_and_repeated_lines(tmp_path: Path) -> None:
    report = feed(tmp_path, 10_000, bad=0.1, late=0.2, repeat=0.3, seed=5, now=NOW)
    assert report.lines == len(lines_of(report)) == 10_000
    assert report.bad == pytest.approx(1_000, rel=0.15)
    assert report.late == pytest.approx(2_000, rel=0.15)
    assert report.repeated == pytest.approx(3_000, rel=0.15)


def test_late_lines_are_one_to_three_days_older(tmp_path: Path) -> None:
    report = feed(tmp_path, 2_000, late=0.2, seed=6, now=NOW)
    day_before = (NOW - timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")
    older = [moment for moment in column(report, "msg_time") if moment < day_before]
    assert 0.9 * report.late <= len(older) <= report.late
    assert min(older) >= (NOW - timedelta(days=4)).strftime("%Y-%m-%d %H:%M:%S")


def test_repeated_lines_are_exact_copies(tmp_path: Path) -> None:
    report = feed(tmp_path, 2_000, repeat=0.25, seed=7, now=NOW)
    distinct = {line.removesuffix(b"\r") for line in lines_of(report)}
    assert 0 < report.repeated == report.lines - len(distinct)


def test_every_line_can_be_bad_or_a_copy(tmp_path: Path) -> None:
    assert feed(tmp_path, 300, bad=1.0, seed=8, now=NOW).bad == 300
    assert feed(tmp_path, 300, repeat=1.0, seed=8, now=NOW).repeated == 299


def reason_of(line: bytes) -> Reason | None:
    if len(line) > 1_048_576:
        return Reason.TOO_LONG
    try:
        fields = line.removesuffix(b"\r").decode().split("\x01")
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    if not MIN_FIELDS <= len(fields) <= len(FIELDS):
        return Reason.FIELD_COUNT
    try:
        moment = datetime.strptime(fields[0], "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return Reason.BAD_TIME
    if str(moment) != fields[0]:
        return Reason.BAD_TIME
    if moment < datetime(2021, 1, 1):
        return Reason.BEFORE_FIRST_DAY
    if moment > NOW.replace(tzinfo=None) + timedelta(hours=1):
        return Reason.TIME_AHEAD
    if not fields[POSITION["sender_account"]]:
        return Reason.NO_SENDER
    return None if fields[POSITION["receiver_account"]] else Reason.NO_RECEIVER


def test_bad_lines_break_every_rule_about_as_often(tmp_path: Path) -> None:
    report = feed(tmp_path, 1_200, bad=1.0, seed=9, now=NOW)
    reasons = Counter(map(reason_of, lines_of(report)))
    assert set(reasons) - {Reason.TOO_LONG} == set(Reason) - {Reason.TOO_LONG}
    assert all(
        150 < count < 250 for reason, count in reasons.items() if reason is not Reason.TOO_LONG
    )


def test_only_the_bad_lines_are_bad(tmp_path: Path) -> None:
    report = feed(tmp_path, 3_000, bad=0.2, late=0.1, repeat=0.1, seed=10, now=NOW)
    assert sum(reason_of(line) is not None for line in lines_of(report)) == report.bad


def test_too_long_lines_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qimo_assets.simulator.lines.TOO_LONG_SHARE", 1.0)
    report = feed(tmp_path, 50, bad=1.0, seed=1, now=NOW)
    assert sum(len(line) > 1_048_576 for line in lines_of(report)) == MAX_TOO_LONG


def test_rate_is_steady_and_of_the_present(tmp_path: Path) -> None:
    began = datetime.now(NOW.tzinfo).replace(microsecond=0)
    progress: list[int] = []
    report = feed(tmp_path, 300, rate=500, seed=1, on_progress=progress.append)
    assert report.lines == len(lines_of(report)) == progress[-1] == 300
    assert len(progress) > 1
    assert 0.6 <= report.seconds < 3
    assert min(column(report, "msg_time")) >= began.strftime("%Y-%m-%d %H:%M:%S")


def test_progress_and_nothing_to_do(tmp_path: Path) -> None:
    progress: list[int] = []
    feed(tmp_path, 15_000, seed=1, now=NOW, on_progress=progress.append)
    assert progress == [10_000, 15_000]
    report = feed(tmp_path / "none", 0, now=NOW)
    assert (report.lines, report.bytes, report.files) == (0, 0, ())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"bad": -0.1}, "bad"),
        ({"bad": 0.6, "late": 0.6}, "late"),
        ({"rate": 0.0}, "rate"),
        ({"days": 0}, "days"),
        ({"lines": -1}, "lines"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict[str, Any], named: str) -> None:
    given: dict[str, Any] = {"lines": 10, "now": NOW, **arguments}
    with pytest.raises(ValueError, match=named):
        feed(tmp_path, **given)


def test_a_write_cut_short_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    monkeypatch.setattr(
        os, "write", lambda descriptor, block: whole(descriptor, block[: len(block) // 2])
    )
    with pytest.raises(FeedError, match="Make room"):
        feed(tmp_path, 100, seed=1, now=NOW)
    [written] = [content for path in tmp_path.iterdir() if (content := path.read_bytes())]
    assert written.endswith(b"\n")
    assert 0 < written.count(b"\n") < 100


def test_a_directory_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FeedError, match="cannot be written"):
        feed(tmp_path / "file", 1, now=NOW)
