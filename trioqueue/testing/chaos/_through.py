"""A broker in front of another one: all goes through, but for what a subclass does itself."""

from __future__ import annotations

from typing import Any, Final, cast

from ... import Broker, Inspector, RemoteBroker

#: What every broker elsewhere has.
MEMBERS: Final = sorted(
    name
    for protocol in (Broker, Inspector, RemoteBroker)
    for name in {**vars(protocol), **protocol.__annotations__}
    if not name.startswith("_")
)


class Through:
    """Passes everything on to ``inner``. For witnesses, and for brokers that are broken on purpose.

    A `RemoteBroker`; a type checker learns it by `broker`.
    """

    def __init__(self, inner: RemoteBroker) -> None:
        self.inner: Final = inner

    @property
    def broker(self) -> RemoteBroker:
        """Itself, as what it is."""
        return cast("RemoteBroker", self)


def _passed_on(name: str) -> property:
    def read(self: Through) -> Any:
        return getattr(self.inner, name)

    return property(read)


# On the class, and not by __getattr__: `isinstance(x, RemoteBroker)` does not look there.
for _name in MEMBERS:
    setattr(Through, _name, _passed_on(_name))
