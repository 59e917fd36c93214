"""Which days have small files to be put together: a row is written a bounded number of times."""

from __future__ import annotations

from qimo_assets.lake.services import LIMITS, QUIET_SECONDS, REST, Levels

DAY, OTHER = "2024-05-01", "2024-05-02"


class World:
    """Seconds."""

    now = 0.0

    def levels(self, files: int = 4) -> Levels:
        return Levels(files, lambda: self.now)


def test_so_many_files_of_a_day_are_put_together() -> None:
    levels = World().levels()
    for _ in range(3):
        levels.written({DAY: 1, OTHER: 1})
    assert levels.due() == {}
    levels.written({DAY: 1})
    assert levels.due() == {0: [DAY]}
    levels.put_together(0, [DAY])
    assert levels.due() == {}


def test_how_often_a_row_is_written_does_not_grow_with_the_day() -> None:
    levels = World().levels()
    rewritten = [0] * len(LIMITS)
    files = 4**5
    for _ in range(files):
        levels.written({DAY: 1})
        for level, days in levels.due().items():
            rewritten[level] += 4 ** (level + 1)
            levels.put_together(level, days)
    # Each file of a level goes into one of the next, and into none of the same.
    assert all(0.8 * files < rows <= files for rows in rewritten)


def test_the_rest_of_a_day_is_put_together_once_it_is_quiet() -> None:
    world = World()
    levels = world.levels(files=100)
    levels.written({DAY: REST, OTHER: REST - 1})
    assert levels.due() == {}
    world.now += QUIET_SECONDS + 1
    assert levels.due() == {len(LIMITS) - 1: [DAY]}
    levels.put_together(len(LIMITS) - 1, [DAY])
    assert levels.due() == {}
