"""Links: what was counted at once of a day, which of them count, and what is to be counted next.
Decides; reads and writes nothing.

A link names the one that it follows, and the commit of messages up to which it counted. A day's
figures are what its links add up to, from one that counted from the beginning (a root) to the one
that reaches furthest. So nothing is counted twice or left out, whatever is killed: a link is there
as a whole or not at all, and of two that follow the same one, as when two runs count at once, one
counts.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from qimo_assets.metrics.commits import Commits

# Links of a day that are read one by one before they are put together.
MAX_LINKS = 30
# Links of a day that do not count, before they are removed.
MAX_LEFT_OUT = 5
# Up to so many new messages their facts are handed to each task that reads the known members, and
# a link stands among the recent ones.
FEW_MESSAGES = 50_000
# Recent links are written again until they hold this part of what stands before them: then they get
# parts of their own, and are written no more.
RECENT_PART = 10
# The digits of a name's time, what comes in the name of links that were put together, and what
# stands before the number of their parts.
STAMP, TOGETHER, NUMBER = 20, "+", "."


@dataclass(frozen=True)
class Link:
    """What was counted at once of a day.

    Attributes:
        name: Its name. Names are in the order in which the messages were counted.
        after: The link that it follows; empty for a root.
        until: The newest commit of messages that it counted.
        messages: How many messages it counted.
        commits: A checksum over the commits of all messages of the day up to `until`.
        catalog: What was counted: a fingerprint of the definitions.
    """

    name: str
    after: str
    until: str
    messages: int
    commits: int
    catalog: str = ""

    @property
    def number(self) -> int:
        """The number of its parts where it follows a root and has parts of its own, else 0."""
        return int(self.name.partition(TOGETHER)[2].partition(NUMBER)[2] or 0)

    @property
    def is_recent(self) -> bool:
        """Whether its rows stand among those of recent links."""
        return not self.number and (bool(self.after) or self.messages <= FEW_MESSAGES)


@dataclass(frozen=True)
class Counted:
    """What is counted of a day.

    Attributes:
        links: The links that count, the root first.
        left_out: The others.
    """

    links: tuple[Link, ...] = ()
    left_out: tuple[Link, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the links that count."""
        return [link.name for link in self.links]

    @property
    def all_names(self) -> list[str]:
        """The names of all links."""
        return [link.name for link in (*self.links, *self.left_out)]

    @property
    def newest(self) -> str:
        """The greatest name of all; empty where there is none."""
        return max(self.all_names, default="")

    @property
    def last(self) -> str:
        """The link that the next one follows; empty where there is none."""
        return self.links[-1].name if self.links else ""

    @property
    def until(self) -> str:
        """The newest commit of messages that is counted."""
        return self.links[-1].until if self.links else ""

    @property
    def messages(self) -> int:
        """How many messages are counted."""
        return _messages(self.links)

    @property
    def commits(self) -> int:
        """The checksum over the commits of the messages that are counted."""
        return self.links[-1].commits if self.links else 0

    def grown(self, link: Link) -> Counted:
        """Return what is counted with one link more: it follows the last, or begins anew."""
        if link.after:
            return replace(self, links=(*self.links, link))
        return Counted((link,), (*self.left_out, *self.links))


@dataclass(frozen=True)
class Merge:
    """Links of a day that are to be put together.

    Attributes:
        links: The links, each after the one before it.
        before: Names of the links that they follow.
        number: The number of the parts that the result gets, 0 for those of a root; None where it
            stays among the recent links.
        removed: Numbers of parts that hold nothing then.
    """

    links: tuple[Link, ...]
    before: tuple[str, ...]
    number: int | None
    removed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Count:
    """A link that is to be added to a day.

    Attributes:
        day: The day.
        after: The link that it is to follow; empty for a root.
        since: The commit after which it counts.
        counts: The commits whose messages it counts.
        commits: The checksum over the commits of all that are counted with it.
    """

    day: str
    after: str
    since: str
    counts: Commits
    commits: int

    @property
    def until(self) -> str:
        """The commit up to which it counts."""
        return self.counts.newest

    @property
    def messages(self) -> int:
        """How many messages it counts."""
        return self.counts.messages

    @property
    def is_root(self) -> bool:
        """Whether it counts from the beginning."""
        return not self.after


def chain(links: Sequence[Link], catalog: str = "") -> Counted:
    """Return the links of a day that count: from the root that was counted last, those on the way
    to the one that reaches furthest.

    Args:
        links: All links of the day.
        catalog: What has to be counted; a link of another catalog lacks a metric, or has it by
            another definition.
    """
    following: dict[str, list[Link]] = {}
    for link in links:
        if link.catalog == catalog:
            following.setdefault(link.after, []).append(link)
    ways = [_furthest(root, following) for root in following.get("", [])]
    found = max(ways, key=lambda way: (_counted_at(way[0]), _reach(way)), default=())
    return Counted(found, tuple(link for link in links if link not in found))


def plan(
    counted: Mapping[str, Counted],
    seen: Mapping[str, Commits],
    *,
    again: Collection[str] = (),
) -> list[Count]:
    """Return what is to be counted: the new messages of a day where those that are counted are as
    they were, else all of them.

    Args:
        counted: What is counted of each day.
        seen: The commits of each day's messages, none older than what is counted; a day without a
            message may be left out.
        again: The days that are counted from the beginning, whatever is known.
    """
    counts = []
    for day, known in counted.items():
        now = seen.get(day, Commits())
        old, new = now.until(known.until), now.after(known.until)
        is_as_counted = (old.messages, old.checksum) == (known.messages, known.commits)
        if known.links and is_as_counted and day not in again:
            if new.each:
                counts.append(Count(day, known.last, known.until, new, now.checksum))
        elif now.each or known.links:
            counts.append(Count(day, "", "", now, now.checksum))
    return counts


def in_groups(counts: Iterable[Count], most_messages: int, most_days: int) -> list[list[Count]]:
    """Return counts as they are written, each group at once: roots apart from others, of so many
    messages and days, or of one day.
    """
    groups: list[list[Count]] = []
    for count in sorted(counts, key=lambda count: count.is_root):
        group = groups[-1] if groups else []
        if (
            group
            and group[0].is_root == count.is_root
            and len(group) < most_days
            and sum(one.messages for one in group) + count.messages <= most_messages
        ):
            group.append(count)
        else:
            groups.append([count])
    return groups


def in_steps(count: Count, most: int) -> list[Count]:
    """Return a count of many messages as several that follow each other; who writes them says after
    which link each comes.

    Args:
        count: What is to be counted.
        most: How many messages a step has, unless one commit has more.
    """
    since, checksum = count.since, count.commits - count.counts.checksum
    steps: list[Count] = []
    for commits in count.counts.in_steps(most):
        checksum += commits.checksum
        steps.append(Count(count.day, count.after, since, commits, checksum))
        since = commits.newest
    return steps


def overdue(counted: Counted) -> Merge | None:
    """Return what is to be put together of a day: none, recent links, or all where others are to be
    removed that do not stand among the recent ones.
    """
    first = next((at for at, link in enumerate(counted.links) if at and not link.number), None)
    before = counted.links[:first]
    recent = counted.links[len(before) :]
    has_many = len(counted.left_out) > MAX_LEFT_OUT
    has_parts = not all(link.is_recent for link in counted.left_out)
    if before and (has_parts or (has_many and not recent)):
        return _merge_all(counted)
    messages, messages_before = _messages(recent), _messages(before)
    is_doubled = messages >= max(messages_before, FEW_MESSAGES)
    if not recent or not (has_many or is_doubled or len(recent) >= MAX_LINKS):
        return None
    is_large = messages >= max(messages_before / RECENT_PART, FEW_MESSAGES)
    return Merge(recent, tuple(link.name for link in before), first if is_large else None)


def together(merge: Merge) -> Link:
    """Return the link that stands for some that follow each other. It is as old as their first:
    a root that was made from the messages meanwhile is newer.
    """
    number = f"{NUMBER}{merge.number}" if merge.number else ""
    return replace(
        merge.links[-1],
        name=f"{_counted_at(merge.links[0])}{TOGETHER}{uuid4().hex[:8]}{number}",
        after=merge.links[0].after,
        messages=_messages(merge.links),
    )


def new_stem(newest: str) -> str:
    """Return what the names of the links of a run begin with, later than any name that is known:
    another host's clock may be ahead.
    """
    later = int(newest[:STAMP]) + 1 if newest else 0
    return f"{max(time.time_ns(), later):0{STAMP}d}-{uuid4().hex[:8]}"


def names_of(counted: Iterable[Counted]) -> list[str]:
    """Return the names of the links that count, of all days."""
    return [name for known in counted for name in known.names]


def name_of(stem: str, day: str) -> str:
    """Return the name of the link of a day: each day has names of its own, because of those that
    were written at once one day's may count and another's not.
    """
    return f"{stem}-{day}"


def _merge_all(counted: Counted) -> Merge:
    links = (*counted.links, *counted.left_out)
    number = None if counted.messages <= FEW_MESSAGES else 0
    removed = {link.number for link in links if not link.is_recent} - {number}
    return Merge(counted.links, (), number, tuple(sorted(removed)))


def _counted_at(link: Link) -> str:
    """Return what the name of a link was before it was put together with others."""
    return link.name.partition(TOGETHER)[0]


def _furthest(root: Link, following: Mapping[str, Sequence[Link]]) -> tuple[Link, ...]:
    found, ways = (root,), [(root,)]
    while ways:
        ways = [(*way, link) for way in ways for link in following.get(way[-1].name, ())]
        found = max((found, *ways), key=_reach)
    return found


def _reach(way: Sequence[Link]) -> tuple[str, int, str]:
    return way[-1].until, _messages(way), way[-1].name


def _messages(links: Iterable[Link]) -> int:
    return sum(link.messages for link in links)
