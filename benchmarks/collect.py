"""collect: log files to topic, the default agent against the course's (memory channel, acks=1).

Both carry the same files into a topic of their own, with the broker of the embedded stack. An agent
first carries some lines that are not measured, which starts it and has its code compiled; then the
files appear beside them at once. The rate is that of the records between the first look at which
some of the files' lines were there and the look at which all were; the broker is looked at each 10
ms. Processor time is that of the agent's process, and of the broker's, from the moment at which the
files appear.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from benchmarks.measure import Figure, alternate
from benchmarks.plans import CollectPlan
from benchmarks.testbed import Testbed, processor_seconds, say
from benchmarks.topic import TopicEnds, await_lines, running_agent, topic
from qimo_assets import simulator
from qimo_assets.settings import SourceSettings

DEFAULT_AGENT = SourceSettings.model_fields["agent"].default
COURSE_AGENT = "7mo_mem_kafka"
LATE_SHARE = 0.01
# Records that are sent again come at once after those that they repeat.
SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Carried:
    """What one run of an agent took.

    Attributes:
        rate: Lines per second.
        agent_cpu: Processor seconds of the agent, a million lines.
        broker_cpu: Processor seconds of the broker, a million lines.
        surplus: Records beyond one a line.
    """

    rate: float
    agent_cpu: float
    broker_cpu: float
    surplus: int


def run(plan: CollectPlan, bed: Testbed) -> Sequence[Figure]:
    """Run both agents in turn."""
    bed.start("kafka")
    warm, lines = bed.layout.data / "warm", bed.layout.data / "lines"
    simulator.feed(warm, plan.warm_lines, seed=plan.seed)
    for path in warm.iterdir():
        path.rename(path.with_stem(f"warm-{path.stem}"))
    simulator.feed(lines, plan.lines, late=LATE_SHARE, seed=plan.seed + 1)
    numbers = count(1)
    subjects = {
        "default agent": partial(_carry, plan, bed, DEFAULT_AGENT, numbers),
        "course's agent": partial(_carry, plan, bed, COURSE_AGENT, numbers),
    }
    found = alternate(subjects, plan.repetitions)
    surplus = {
        f"records beyond one a line, {name}": float(sum(run.surplus for run in runs))
        for name, runs in found.items()
    }
    return [
        Figure(
            "lines from files to topic",
            "lines/s",
            {name: [run.rate for run in runs] for name, runs in found.items()},
            surplus,
        ),
        Figure(
            "processor time of the agent",
            "s/million lines",
            {name: [run.agent_cpu for run in runs] for name, runs in found.items()},
        ),
        Figure(
            "processor time of the broker",
            "s/million lines",
            {name: [run.broker_cpu for run in runs] for name, runs in found.items()},
        ),
    ]


def _carry(plan: CollectPlan, bed: Testbed, agent_name: str, numbers: count[int]) -> Carried:
    name = f"collect-{next(numbers)}"
    settings = bed.settings
    settings = settings.model_copy(
        update={"source": settings.source.model_copy(update={"agent": agent_name})}
    )
    with topic(settings, name) as settings, running_agent(bed, settings, name) as agent:
        ends = TopicEnds(settings.kafka)
        agent.add(bed.layout.data / "warm")
        await_lines(ends, plan.warm_lines, plan.warm_lines)
        agent_before = processor_seconds(agent.process)
        broker_before = bed.processor_seconds("kafka")
        agent.add(bed.layout.data / "lines")
        first = await_lines(ends, plan.warm_lines + 1, plan.lines)
        began = time.monotonic()
        await_lines(ends, plan.warm_lines + plan.lines, plan.lines)
        seconds = time.monotonic() - began
        agent_cpu, broker_cpu = (
            processor_seconds(agent.process) - agent_before,
            bed.processor_seconds("kafka") - broker_before,
        )
        time.sleep(SETTLE_SECONDS)
        surplus = ends.total() - plan.warm_lines - plan.lines
        ends.close()
    rate = (plan.warm_lines + plan.lines - first) / seconds
    say(f"{agent_name}: {rate:,.0f} lines/s")
    return Carried(rate, agent_cpu / plan.lines * 1e6, broker_cpu / plan.lines * 1e6, surplus)
