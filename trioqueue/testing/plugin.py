"""The pytest plugin: queues with the laws checked, as fixtures. Works with pytest-trio.

Loaded by pytest in every program in whose environment trioqueue is installed, so it imports nothing
until a test asks for one of its fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

# A case that fails shows the values that it compared.
pytest.register_assert_rewrite("trioqueue.testing.conformance")

if TYPE_CHECKING:
    from .. import Queue
    from ._ledger import Ledger


@pytest.fixture
def trioqueue_ledger() -> Iterator[Ledger]:
    """A fresh `Ledger`, whose laws are checked when the test is over. ::

    async def test_upload(trioqueue_ledger):
        with trioqueue_ledger.witness(tasks):
            async with open_queue(tasks, observers=[trioqueue_ledger.observe]) as queue:
                trioqueue_ledger.attach(queue)
                ...
    """
    from ._ledger import Ledger

    ledger = Ledger()
    yield ledger
    ledger.check()


@pytest.fixture
def open_test_queue() -> Iterator[Callable[..., AbstractAsyncContextManager[Queue]]]:
    """`trioqueue.testing.open_test_queue`, whose laws are checked once more when the test is over.

    ::

        async def test_resize(open_test_queue, autojump_clock):
            async with open_test_queue(tasks, workers=2) as queue:
                assert await (await queue.submit(resize, "cat.png")).result() == "cat-300.png"
    """
    from ._ledger import Ledger
    from ._open import open_test_queue as open_one

    ledgers: list[Ledger] = []

    def open_and_keep(tasks: Any, **options: Any) -> AbstractAsyncContextManager[Queue]:
        if options.get("check", True):
            ledgers.append(options.setdefault("ledger", Ledger()))
        return open_one(tasks, **options)

    yield open_and_keep
    for ledger in ledgers:
        ledger.check()
