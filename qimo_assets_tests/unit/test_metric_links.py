"""Which links of a day count, and what is counted next, whatever ran at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count as count_from

import pytest

from qimo_assets.metrics.commits import Commit, Commits
from qimo_assets.metrics.links import (
    FEW_MESSAGES,
    MAX_LEFT_OUT,
    MAX_LINKS,
    RECENT_PART,
    STAMP,
    Count,
    Counted,
    Link,
    Merge,
    chain,
    in_groups,
    in_steps,
    name_of,
    new_stem,
    overdue,
    plan,
    together,
)

DAY = "2026-11-06"
NUMBERS = count_from(1)


def link(name: str, after: str = "", until: str = "", messages: int = 1) -> Link:
    """Return a link that reaches to the commit of its own name, unless it says another."""
    return Link(name, after, until or name, messages, commits=messages)


ROOT = link("a", "", "1")
# Commit -> the hash of its instant.
HASHES = {"001": 5, "002": 7, "004": 11, "005": 13, "009": 1}


def merge_of(links: Sequence[Link]) -> Merge:
    """Return that links are put together."""
    return Merge(tuple(links), (), None)


def row_of(number: int) -> list[Link]:
    """Return a root and links that follow each other."""
    names = [f"{place:03d}" for place in range(number)]
    return [link(name, after) for name, after in zip(names, ("", *names), strict=False)]


def commits(messages: Mapping[str, int]) -> Commits:
    """Return commits with so many messages each."""
    return Commits(tuple(Commit(name, of, HASHES[name] * of) for name, of in messages.items()))


def counted(*links: Link) -> Counted:
    """Return what these links count."""
    return chain(links)


@pytest.mark.parametrize(
    ("links", "names"),
    [
        ([], []),
        ([link("b", "a")], []),
        ([link("a"), link("b", "a"), link("c", "b")], ["a", "b", "c"]),
        # Two that follow the same one: the one that reaches further.
        ([ROOT, link("b", "a", "3", 5), link("c", "a", "2", 9)], ["a", "b"]),
        # Of two that reach as far the one of more messages, and of equal ones the newer one.
        ([ROOT, link("b", "a", "2", 5), link("c", "a", "2", 4)], ["a", "b"]),
        ([ROOT, link("b", "a", "2"), link("c", "a", "2")], ["a", "c"]),
        # Not the row of more links.
        ([ROOT, link("b", "a", "2"), link("c", "b", "3"), link("d", "a", "4")], ["a", "d"]),
        # A root that was counted later, although it does not reach as far.
        ([ROOT, link("c", "a", "9"), link("b", "", "5")], ["b"]),
    ],
)
def test_links_count_from_the_newest_root_as_far_as_they_reach(
    links: Sequence[Link], names: list[str]
) -> None:
    found = chain(links)
    assert found.names == names
    assert {*found.all_names} == {one.name for one in links}
    assert {*found.left_out} == {one for one in links if one.name not in names}


def test_links_of_another_catalog_do_not_count() -> None:
    links = [link("a"), link("b", "a")]
    assert chain(links, "other") == Counted((), tuple(links))


def test_links_that_were_put_together_are_no_newer_than_their_root() -> None:
    old = row_of(3)
    recount = link("001.5")
    whole = together(merge_of(old))
    assert chain([recount, whole]).names == [recount.name]
    assert chain([*old, whole]).messages == 3
    assert (whole.after, whole.until, whole.messages, whole.commits) == ("", "002", 3, 1)
    recent = together(merge_of(old[1:]))
    assert recent.after == "000"
    assert chain([old[0], recent]).names == ["000", recent.name]
    # One that another run went on from counts no longer, and its messages are counted again.
    assert chain([whole, link("003", "002")]).until == "002"


@pytest.mark.parametrize(
    ("now", "again", "after", "messages"),
    [
        ({"002": 3}, False, None, 0),
        ({"002": 3, "004": 1, "005": 1}, False, "002", 2),
        ({"002": 3, "005": 2}, True, "", 5),
        # One was deleted, one was written again, and one came late under an older commit.
        ({"002": 2}, False, "", 2),
        ({"002": 2, "005": 1}, False, "", 3),
        ({"001": 1, "002": 2}, False, "", 3),
    ],
)
def test_new_messages_are_added_only_where_the_others_are_as_they_were_counted(
    now: Mapping[str, int], again: bool, after: str | None, messages: int
) -> None:
    known = Counted(tuple(replace(one, commits=HASHES["002"] * 3) for one in row_of(3)))
    seen = commits(now)
    counts = plan({DAY: known}, {DAY: seen}, again=[DAY] if again else [])
    assert [(count.after, count.messages) for count in counts] == (
        [] if after is None else [(after, messages)]
    )
    assert [count.commits for count in counts] == [seen.checksum] * len(counts)


def test_a_day_without_messages_is_counted_only_where_it_had_some() -> None:
    assert plan({DAY: Counted()}, {}) == []
    gone = plan({DAY: counted(link("a"))}, {})
    assert gone == [Count(DAY, "", "", Commits(), 0)]
    empty = Counted((Link("b", "", "", 0, 0),))
    assert plan({DAY: empty}, {}) == []


def test_what_is_counted_grows_by_a_link_or_begins_anew() -> None:
    lost = link("lost", "gone")
    before = counted(*row_of(2), lost)
    follows, begins = link("x", before.last), link("y")
    assert before.grown(follows) == Counted((*before.links, follows), (lost,))
    assert before.grown(begins) == Counted((begins,), (lost, *before.links))


def count(day: str, messages: int, after: str = "") -> Count:
    return Count(day, after, "", commits({"009": messages}), messages)


def test_what_is_written_at_once_is_bounded() -> None:
    counts = [count("1", 5), count("2", 1, "a"), count("3", 6), count("4", 30), count("5", 2, "b")]
    groups = in_groups(counts, most_messages=10, most_days=2)
    assert [[one.day for one in group] for group in groups] == [["2", "5"], ["1"], ["3"], ["4"]]
    assert len(in_groups([count(str(day), 1) for day in range(5)], 10, 2)) == 3


def test_a_day_of_many_messages_is_counted_in_steps() -> None:
    each = [Commit("1", 3, 10), Commit("2", 3, 20), Commit("3", 7, 30), Commit("4", 1, 40)]
    whole = Count(DAY, "a", "0", Commits(tuple(each)), commits=120)
    assert (whole.until, whole.messages) == ("4", 14)
    assert in_steps(whole, 6) == [
        Count(DAY, "a", "0", Commits(tuple(each[:2])), 50),
        Count(DAY, "a", "2", Commits((each[2],)), 80),
        Count(DAY, "a", "3", Commits((each[3],)), 120),
    ]


def added(links: Sequence[Link], messages: int, number: int = 1) -> list[Link]:
    """Return links, and so many more that follow them."""
    more: list[Link] = []
    for _ in range(number):
        last = (*links, *more)[-1]
        more.append(link(f"n{next(NUMBERS):06d}", last.name, messages=messages))
    return [*links, *more]


def put_together(links: Sequence[Link]) -> list[Link]:
    """Return the links of a day once those were put together that are due."""
    merge = overdue(counted(*links))
    if not merge:
        return [*links]
    assert merge.before == tuple(one.name for one in links[: len(merge.before)])
    return [*links[: len(merge.before)], together(merge)]


def test_recent_links_are_put_together_by_themselves_while_they_are_little() -> None:
    few, many = row_of(MAX_LINKS), row_of(MAX_LINKS + 1)
    assert overdue(Counted()) is overdue(counted(*few)) is None
    assert overdue(counted(*many)) == Merge(tuple(many[1:]), ("000",), None)
    [root, recent] = put_together(many)
    assert (root, recent.messages, recent.is_recent) == (many[0], MAX_LINKS, True)


def test_a_part_of_a_day_is_written_apart_once_and_what_was_before_stays() -> None:
    links = [link("000", messages=1_000_000)]
    links = put_together(added(links, 10_000, MAX_LINKS))
    assert [(one.messages, one.number) for one in links[1:]] == [(300_000, 1)]
    links = put_together(added(links, 1_000, MAX_LINKS))
    assert [(one.messages, one.number) for one in links[1:]] == [(300_000, 1), (30_000, 0)]
    links = put_together(added(links, 4_000, MAX_LINKS))
    assert [(one.messages, one.number) for one in links[1:]] == [(300_000, 1), (150_000, 2)]
    assert [one.is_recent for one in links] == [False] * 3
    assert chain([*links, link("x", links[-1].name)]).names[-1] == "x"


def test_as_many_messages_as_there_were_before_do_not_wait_for_more_links() -> None:
    root = [link("000", messages=FEW_MESSAGES - 1)]
    fewer = added(root, FEW_MESSAGES - 1)
    assert put_together(fewer) == fewer
    [_, large] = put_together(added(root, FEW_MESSAGES))
    assert (large.messages, large.number) == (FEW_MESSAGES, 1)
    doubled = put_together(added([*root, large], FEW_MESSAGES, 2))
    assert [one.number for one in doubled] == [0, 1, 2]


def test_a_day_that_grows_a_thousandfold_has_few_parts_and_is_written_a_few_times() -> None:
    links, written = [link("000", messages=20_000)], 0
    while sum(one.messages for one in links) < 20_000_000:
        links = added(links, 20_000)
        before, links = links, put_together(links)
        if before != links:
            written += links[-1].messages
    assert len(links) < 100
    # Not each message with each of the thousand links.
    assert written < 3 * RECENT_PART * 20_000_000
    assert max(one.messages for one in links) < 20_000_000 / 5


@pytest.mark.parametrize(
    ("lost", "removes"),
    [
        ([], False),
        ([link(f"lost {number}", "gone") for number in range(MAX_LEFT_OUT)], False),
        ([link(f"lost {number}", "gone") for number in range(MAX_LEFT_OUT + 1)], True),
        # What stands in parts of its own is read with each question until it is removed.
        ([link("0", messages=FEW_MESSAGES + 1)], True),
        ([link("0", messages=FEW_MESSAGES)], False),
        ([link("0+1.2", "gone")], True),
    ],
)
def test_links_that_do_not_count_are_removed(lost: list[Link], removes: bool) -> None:
    merge = overdue(counted(link("a"), *lost))
    assert (merge is not None) is removes
    assert overdue(counted(*lost[1:])) is None


def test_recent_links_that_do_not_count_go_without_the_whole_day() -> None:
    lost = [link(f"lost {number}", "gone") for number in range(MAX_LEFT_OUT + 1)]
    links = [link("a", messages=FEW_MESSAGES + 1), link("b", "a")]
    assert overdue(counted(*links, *lost[1:])) is None
    assert overdue(counted(*links, *lost)) == Merge((links[1],), ("a",), None)


def test_a_day_that_is_put_together_has_the_parts_of_a_root_alone() -> None:
    lost = [link("0", messages=FEW_MESSAGES + 1), link("0+1.7", "gone")]
    large = [link("a", messages=FEW_MESSAGES), link("b+1.2", "a", "b")]
    found = overdue(counted(*large, *lost))
    assert found == Merge(tuple(large), (), 0, (2, 7))
    assert found
    assert together(found).number == 0
    assert overdue(counted(link("a"), *lost)) == Merge((link("a"),), (), None, (0, 7))


def test_names_go_on_from_the_newest_although_its_clock_was_ahead() -> None:
    ahead = f"{10**19:0{STAMP}d}-abc-{DAY}"
    assert name_of(new_stem(ahead), DAY) > ahead
    assert new_stem("") < ahead
    assert name_of("a", "1") != name_of("a", "2")
