"""Looking into errors, and into groups of them."""

from __future__ import annotations

from typing import cast

from .. import TrioqueueError


def _leaves(error: BaseException | None) -> list[BaseException]:
    """The errors in a group of groups, or the one error."""
    if error is None:
        return []
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = cast("BaseExceptionGroup[BaseException]", error)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]


def is_expected(error: BaseException) -> bool:
    """Whether a disturbed play may end like this: by trioqueue's own errors, or by the Ctrl-C."""
    return all(isinstance(leaf, (TrioqueueError, KeyboardInterrupt)) for leaf in _leaves(error))


def holds_interrupt(error: BaseException | None) -> bool:
    """Whether ``error`` is a KeyboardInterrupt, or a group that holds one."""
    return any(isinstance(leaf, KeyboardInterrupt) for leaf in _leaves(error))


def describe(error: BaseException) -> str:
    """An error, or all that is in a group, as text."""
    leaves = [f"{type(leaf).__name__}: {leaf}".replace("\n", "\n    ") for leaf in _leaves(error)]
    return "; ".join(leaves) if len(leaves) == 1 else f"{len(leaves)} errors: {'; '.join(leaves)}"
