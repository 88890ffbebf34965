"""What `tests.broker_machine` asks of the place in which a broker keeps its tasks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeAlias

from tests.broker_model import Model

#: Where in a verb the process can die. "torn": while what it does is being written down.
STAGES = ("begun", "before-commit", "torn", "after-commit", "replied")
UNDONE = ("begun", "before-commit", "torn")

#: A `RemoteBroker` that is an `Inspector` too.
AnyBroker: TypeAlias = Any


class Store(Protocol):
    """A file, or a queue on a server."""

    def new_model(self) -> Model:
        """A model of it, as it is in the beginning."""
        ...

    def there(self) -> AbstractAsyncContextManager[None]:
        """While the store is there."""
        ...

    def open(self, model: Callable[[], Model]) -> AbstractAsyncContextManager[AnyBroker]:
        """Open it, by the clocks of the model."""
        ...

    def check(self, model: Model) -> None:
        """What is stored is sound; asked after each step, and in the end."""
        ...

    def check_end(self, model: Model) -> None:
        """The same, when nobody has it open any more."""
        ...

    def die(self) -> None:
        """The process dies between two verbs."""
        ...

    def dying(self, broker: AnyBroker, verb: str, stage: str) -> AbstractContextManager[None]:
        """Around a verb in which it dies."""
        ...

    def failing(self, broker: AnyBroker) -> AbstractContextManager[None]:
        """Around a verb whose first reply gets lost, if that can be here."""
        ...

    def boot(self) -> bool:
        """The machine starts again. Whether that matters."""
        ...
