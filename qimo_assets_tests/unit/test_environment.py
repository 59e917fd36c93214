"""The tests' own changes of the environment end, whichever thread makes them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from qimo_assets_tests.conftest import environment

NAME = "QIMO_TEST_OF_THREADS"


def test_a_thread_that_leaves_last_leaves_nothing_of_the_one_before() -> None:
    first_inside, second_inside = Event(), Event()

    def first() -> None:
        with environment({NAME: "first"}):
            first_inside.set()
            # The second comes in only where threads do not take turns.
            second_inside.wait(timeout=0.2)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert first_inside.wait(timeout=10)
        with environment({NAME: "second"}):
            second_inside.set()
            done.result(timeout=10)
            assert os.environ.get(NAME) == "second"
    assert NAME not in os.environ
