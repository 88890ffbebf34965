"""A broker that fails: what becomes of a program when the place of its tasks is gone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from .. import Queue


@contextmanager
def failing(queue: Queue, verb: str, error: BaseException, *, after: int = 0) -> Generator[None]:
    """Within the block, the broker of ``queue`` raises ``error`` from ``verb``. ::

        with pytest.raises(OSError):
            async with open_test_queue(tasks, check=False) as queue:
                with failing(queue, "claim_nowait", OSError("disk full")):
                    await queue.submit(resize, "cat.png")
                    await queue.drain()

    ``verb``: the name of a method of the broker protocols; the call changes nothing. ``after``: so
    many calls succeed first. A broker's failure is not a task's: it crashes the queue's block.
    """
    method: Any = getattr(queue._broker, verb)
    own: dict[str, Any] = vars(queue._broker)
    shadowed = own.get(verb)
    left = after

    def fail(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left > 0:
            left -= 1
            return method(*args, **kwargs)
        raise error

    own[verb] = fail
    try:
        yield
    finally:
        if shadowed is None:
            del own[verb]
        else:
            own[verb] = shadowed
