"""The conformance suite itself: its front, its table, and that each of its cases can fail."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.broken_brokers import BROKEN, Break
from tests.test_conformance_memory import TestMemoryBroker as OfMemory
from trioqueue.testing.conformance import (
    LOCAL_BROKER,
    Case,
    cases,
)

#: What every case would notice: of these alone one could not tell that a case says anything.
BLUNT = {"counts_are_one_too_many", "the_sum_does_not_hold", "only_workers_and_submits_are_told"}
CASES = {case.name: case for case in cases()}


class Suite(OfMemory):
    """The memory broker, broken."""

    __test__ = False

    def __init__(self, apply: Break) -> None:
        self.apply = apply

    def open_broker(self, **options: Any) -> Any:
        return self._opened(super().open_broker(**options))

    @asynccontextmanager
    async def _opened(self, opening: Any) -> AsyncIterator[Any]:
        async with opening as broker:
            self.apply(broker)
            yield broker


def goes_red(case: Case, apply: Break) -> bool:
    """Whether a case fails on a broker that was broken like that."""
    try:
        Suite(apply).play(case)
    except Exception as error:
        leaves = list(_leaves(error))
        # Those would be mistakes of the broken broker, or of the case.
        assert not any(isinstance(leaf, (AttributeError, NameError, TypeError)) for leaf in leaves)
        return True
    return False


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


# --- it can fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, broken in BROKEN.items() for case in broken.cases]
)
def test_a_broken_promise_turns_its_case_red(name: str, case: str) -> None:
    assert goes_red(CASES[case], BROKEN[name].apply)


@pytest.mark.long
def test_every_case_goes_red_on_some_broken_broker() -> None:
    """So none of them passes whatever the broker does."""
    left = {case.name: case for case in cases(LOCAL_BROKER)}
    for broken in BROKEN.values():
        tried = broken.cases if broken.name in BLUNT else left
        red = [name for name in tried if name in left and goes_red(left[name], broken.apply)]
        for name in red:
            del left[name]
    assert sorted(left) == []
