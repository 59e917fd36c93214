"""The commits that a day's messages stand in, as a run sees them at one moment. Decides; asks
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, order=True)
class Commit:
    """A commit with its messages of a day.

    Attributes:
        instant: When it began, as Hudi writes it; commits are in the order of their instants.
        messages: How many there are.
        checksum: A hash of the instant for each of them, added up.
    """

    instant: str
    messages: int
    checksum: int


@dataclass(frozen=True)
class Commits:
    """Commits with messages of one day.

    Attributes:
        each: The commits, in their order.
        in_base_files: Whether all of the day stands in base files; nothing was deleted or corrected
            that is not compacted.
    """

    each: tuple[Commit, ...] = ()
    in_base_files: bool = False

    @property
    def newest(self) -> str:
        """The instant of the last; empty where there is none."""
        return self.each[-1].instant if self.each else ""

    @property
    def messages(self) -> int:
        """How many messages they have."""
        return sum(commit.messages for commit in self.each)

    @property
    def checksum(self) -> int:
        """A checksum over the commits of all their messages."""
        return sum(commit.checksum for commit in self.each)

    def until(self, instant: str) -> Commits:
        """Return those up to an instant."""
        return self._where(lambda commit: commit.instant <= instant)

    def after(self, instant: str) -> Commits:
        """Return those that are later than an instant."""
        return self._where(lambda commit: commit.instant > instant)

    def in_steps(self, most: int) -> list[Commits]:
        """Return them in parts of so many messages, or of one commit that has more."""
        steps: list[list[Commit]] = []
        messages = 0
        for commit in self.each:
            messages += commit.messages
            if not steps or messages > most:
                steps.append([])
                messages = commit.messages
            steps[-1].append(commit)
        return [replace(self, each=tuple(step)) for step in steps]

    def _where(self, is_wanted: Callable[[Commit], bool]) -> Commits:
        return replace(self, each=tuple(commit for commit in self.each if is_wanted(commit)))
