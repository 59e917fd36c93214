"""What counts as a gap before the first line that would be read."""

from __future__ import annotations

import pytest

from qimo_assets.lake.continuity import gap_before
from qimo_assets.resources.kafka import PartitionState

TOPIC, NAME = "t", "t.ID"
WHOLE = [PartitionState(0, 0, 9, 4), PartitionState(1, 0, 9, None)]
READ_AND_DELETED = [PartitionState(0, 4, 9, 4), PartitionState(1, 0, 9, 0)]
DELETED = [PartitionState(0, 6, 9, 4), PartitionState(1, 3, 3, None)]


@pytest.mark.parametrize(
    ("begun", "partitions"),
    [
        pytest.param(set(), WHOLE, id="the first start"),
        pytest.param(set(), [], id="a topic without partitions"),
        pytest.param(set(), READ_AND_DELETED, id="only what was read is deleted"),
        pytest.param(
            {NAME}, DELETED, id="Spark sees by itself what is missing after its checkpoint"
        ),
        pytest.param({NAME, "t.OLD"}, WHOLE, id="the loss was accepted"),
        pytest.param({"other.OLD", "t.x.OLD"}, WHOLE, id="checkpoints of other topics"),
    ],
)
def test_without_a_gap_the_stream_goes_on(
    begun: set[str], partitions: list[PartitionState]
) -> None:
    assert gap_before(TOPIC, NAME, begun, partitions) is None


def test_lines_deleted_before_they_were_read_are_counted_by_partition() -> None:
    assert (gap_before(TOPIC, NAME, set(), DELETED) or "").endswith(
        "not known to hold: 2 of partition 0, 3 of partition 1."
    )


def test_a_topic_made_anew_is_seen_though_its_offsets_show_nothing() -> None:
    assert "deleted and made anew" in (gap_before(TOPIC, NAME, {"t.OLD"}, WHOLE) or "")
