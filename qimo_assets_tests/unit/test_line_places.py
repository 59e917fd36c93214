"""Places of lines: what is known is never too little, and a gap is seen."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qimo_assets.lake.places import Known, Ranges, Survey, common, joined

FILE, OTHER, TOPIC = "chat\x0017-42", "chat\0/logs/a.log", "\x007MO-MSG.id\x000"
RANGES = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 20)).map(lambda it: (it[0], it[0] + it[1])),
    max_size=30,
)


def covered(ranges: Ranges) -> set[int]:
    return {at for begin, end in ranges for at in range(begin, end)}


def survey(**told: object) -> Survey:
    """Return the survey of one part of a batch."""
    found = Survey()
    empty = {"rows": {}, "reasons": {}, "places": {}, "repeats": {}, "reached": {}}
    found.add(json.dumps({**empty, **told}))
    return found


@given(RANGES)
def test_joined_ranges_cover_the_same_but_for_a_carriage_return(ranges: Ranges) -> None:
    found = joined(ranges)
    assert found == sorted(found)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))
    added = covered(found) - covered(ranges)
    assert added == {at for at in added if at - 1 in covered(ranges) and at + 1 in covered(ranges)}
    assert covered(ranges) <= covered(found)


@given(RANGES, st.integers(1, 5))
def test_of_too_many_ranges_the_shortest_gaps_are_closed(ranges: Ranges, most: int) -> None:
    found, coarse = joined(ranges), joined(ranges, most)
    assert len(coarse) == min(len(found), most)
    assert covered(found) <= covered(coarse)


@given(RANGES, RANGES)
def test_what_two_sets_have_in_common(known: Ranges, ranges: Ranges) -> None:
    assert covered(common(joined(known), ranges)) == covered(joined(known)) & covered(ranges)


def test_new_lines_of_a_known_file_are_not_doubtful() -> None:
    known = Known()
    known.add({FILE: [[0, 100]]})
    assert known.doubtful(survey(places={FILE: [[100, 150]], OTHER: [[0, 10]]})) == {}
    assert known.doubtful(survey(places={FILE: [[50, 150]]})) == {FILE: [(50, 100)]}
    # A file that was truncated and written anew has other lines where lines were.
    assert known.doubtful(survey(places={FILE: [[0, 30]]})) == {FILE: [(0, 30)]}


def test_a_line_that_stands_twice_in_a_batch_is_doubtful() -> None:
    batch = survey(places={FILE: [[0, 100]]}, repeats={FILE: [[10, 20]]})
    assert Known().doubtful(batch) == {FILE: [(10, 20)]}
    again = {"rows": {}, "reasons": {}, "repeats": {}, "reached": {}, "places": {FILE: [[90, 200]]}}
    batch.add(json.dumps(again))
    assert Known().doubtful(batch) == {FILE: [(10, 20), (90, 100)]}


def test_ranges_out_of_order_become_one() -> None:
    known = Known()
    for ranges in ([[200, 300]], [[0, 100]]):
        known.add({FILE: ranges})
    assert known.gaps() == {FILE: [(100, 200)]}
    known.add({FILE: [[100, 200]]})
    assert (known.places, known.gaps()) == ({FILE: [(0, 300)]}, {})


def test_lines_that_end_in_a_carriage_return_leave_no_gap() -> None:
    known = Known()
    known.add({FILE: [[0, 10], [11, 20], [21, 30]]})
    assert known.places == {FILE: [(0, 30)]}


def test_a_file_that_is_not_known_from_its_start_has_a_gap_and_a_topic_has_none() -> None:
    known = Known()
    known.add({FILE: [[7, 10]], TOPIC: [[5, 6]]})
    assert known.gaps() == {FILE: [(0, 7)]}


def test_files_that_are_forgotten_stay_doubtful() -> None:
    known = Known(most=2)
    known.add({f"chat\0{inode}-{1000 + inode}": [[0, 10]] for inode in range(5)})
    assert list(known.places) == ["chat\x003-1003", "chat\x004-1004"]

    def doubts(place: str) -> bool:
        return bool(known.doubtful(survey(places={place: [[10, 20]]})))

    assert doubts("chat\x002-1002")
    assert doubts("chat\x009-999")
    # Without a birth nobody can tell its age.
    assert doubts(OTHER)
    assert not doubts("chat\x009-1003")
    assert not doubts("other\x002-1002")
    assert not doubts("chat\x003-1003")


def test_a_forgotten_file_that_is_written_to_again_is_doubtful_as_a_whole() -> None:
    known = Known(most=1)
    known.add({"chat\x001-1001": [[0, 500]], "chat\x002-1002": [[0, 10]]})
    known.add({"chat\x001-1001": [[500, 510]]})
    batch = survey(places={"chat\x001-1001": [[100, 200]]})
    assert known.doubtful(batch) == {"chat\x001-1001": [(100, 200)]}
    assert known.gaps() == {}
