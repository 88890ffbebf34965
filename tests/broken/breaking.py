"""Memory brokers that break one promise each, and the cases of the conformance suite that notice.

Each is the real broker with one of its verbs replaced, so that everything else about it is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from trioqueue import Move

Break = Callable[[Any], None]


@dataclass(frozen=True)
class Broken:
    """``apply`` breaks an open memory broker; ``cases`` must go red then."""

    name: str
    apply: Break
    cases: tuple[str, ...]


BROKEN: dict[str, Broken] = {}


def noticed_by(*cases: str) -> Callable[[Break], Break]:
    def register(apply: Break) -> Break:
        name = apply.__name__
        BROKEN[name] = Broken(name, apply, cases)
        return apply

    return register


def inspecting(broker: Any, **verbs: Any) -> None:
    """Replace verbs of the broker's inspector."""
    own = broker.inspector
    names = [name for name in dir(own) if not name.startswith("_")]
    wrapped = SimpleNamespace(**{name: getattr(own, name) for name in names} | verbs)
    kind = type(broker)
    broker.__class__ = type("Broken", (kind,), {"inspector": property(lambda _: wrapped)})


class Wrapped:
    """Something with slots, some of whose methods are replaced."""

    def __init__(self, inner: Any, **methods: object) -> None:
        self._inner = inner
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __contains__(self, thing: object) -> bool:
        return thing in self._inner


def after_settling(broker: Any, move: Move, change: Callable[[Any], None]) -> None:
    """Do something more whenever a lease was ended by this move."""
    settle = broker.settle_nowait

    def settle_nowait(settlement: Any, now: float) -> Any:
        lease = settlement.lease
        held = lease.task.lease is lease
        answer = settle(settlement, now)
        if held and settlement.move is move:
            change(settlement)
        return answer

    broker.settle_nowait = settle_nowait
