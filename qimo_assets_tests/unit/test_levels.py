"""Which days have small files to be put together: a row is written a bounded number of times."""

from __future__ import annotations

from qimo_assets.lake.services import LIMITS, QUIET_SECONDS, REST, Levels

DAY, OTHER = "2024-05-01", "2024-05-02"
SMALL, MIDDLE, LARGE = (limit - 1 for limit in LIMITS)


class World:
    """Seconds."""

    now = 0.0

    def levels(self, files: int = 4) -> Levels:
        return Levels(files, lambda: self.now)


def test_so_many_files_of_a_day_are_put_together() -> None:
    levels = World().levels()
    for _ in range(3):
        levels.appended({DAY: [SMALL], OTHER: [SMALL]})
    assert levels.due() == {}
    levels.appended({DAY: [SMALL]})
    assert levels.due() == {0: [DAY]}
    levels.put_together(0, [DAY])
    assert levels.due() == {}


def test_files_are_counted_by_their_size() -> None:
    levels = World().levels()
    for size in (SMALL, MIDDLE, LARGE, LIMITS[-1]):
        levels.appended({DAY: [size] * 3})
    assert levels.due() == {}
    levels.appended({DAY: [MIDDLE]})
    assert levels.due() == {1: [DAY]}
    levels.put_together(1, [DAY])
    levels.written({DAY: [LARGE]})
    assert levels.due() == {2: [DAY]}


def test_a_stream_that_is_behind_has_the_processors() -> None:
    levels = World().levels()
    levels.appended({DAY: [MIDDLE] * 15})
    assert levels.due() == {1: [DAY]}
    assert levels.due(is_behind=True) == {}
    levels.appended({DAY: [MIDDLE]})
    assert levels.due(is_behind=True) == {1: [DAY]}


def test_how_often_a_row_is_written_does_not_grow_with_the_day() -> None:
    levels = World().levels()
    rewritten = [0] * len(LIMITS)
    sizes = [SMALL, MIDDLE, LARGE, LIMITS[-1]]
    files = 4**5
    for _ in range(files):
        levels.appended({DAY: [SMALL]})
        while due := levels.due():
            for level in due:
                rewritten[level] += 4 ** (level + 1)
                levels.put_together(level, [DAY])
                levels.written({DAY: [sizes[level + 1]]})
    # Each file of a level goes into one of the next, and into none of the same.
    assert all(0.8 * files < rows <= files for rows in rewritten)


def test_the_rest_of_a_day_is_put_together_once_it_is_quiet() -> None:
    world = World()
    levels = world.levels(files=100)
    levels.appended({DAY: [SMALL] * REST, OTHER: [SMALL] * (REST - 1)})
    assert levels.due() == {}
    world.now += QUIET_SECONDS + 1
    assert levels.due() == {len(LIMITS) - 1: [DAY]}
    levels.put_together(len(LIMITS) - 1, [DAY])
    levels.written({DAY: [LARGE] * REST})
    assert levels.due() == {}
    levels.appended({DAY: [SMALL]})
    world.now += QUIET_SECONDS + 1
    assert levels.due() == {len(LIMITS) - 1: [DAY]}
