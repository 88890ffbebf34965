"""Looking into errors, and into groups of them."""

from __future__ import annotations

from .. import TrioqueueError


def is_expected(error: BaseException) -> bool:
    """Whether a disturbed play may end like this: by trioqueue's own errors, or by the Ctrl-C."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_expected(inner) for inner in error.exceptions)
    return isinstance(error, (TrioqueueError, KeyboardInterrupt))


def holds_interrupt(error: BaseException | None) -> bool:
    """Whether ``error`` is a KeyboardInterrupt, or a group that holds one."""
    if isinstance(error, BaseExceptionGroup):
        return any(holds_interrupt(inner) for inner in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


def describe(error: BaseException) -> str:
    """An error, or a group with all that is in it, as text."""
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        inner = "; ".join(describe(one) for one in error.exceptions)
        return f"{name}: {error.message} [{inner}]"
    return f"{name}: " + str(error).replace("\n", "\n    ")
