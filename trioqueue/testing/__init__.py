"""Tools to test handlers, whole programs and brokers: no sleeping, no luck, the laws checked.

The real pool runs on a virtual clock, with a ledger at its side that holds it to the laws::

    from trioqueue.testing import open_test_queue, raises, returns, run, script

    tasks = trioqueue.TaskSet()
    flaky = tasks.task(name="flaky")(script(raises(OSError("down")), returns(42)))

    def test_it_is_tried_again():
        async def main():
            async with open_test_queue(tasks) as queue:
                handle = await queue.submit(flaky)
                assert await handle.result() == 42

        run(main)

Opening: `open_test_queue`, `run`, `Ledger`, `LAWS`. Handlers: `script` and its steps. Looking:
`run_until_idle`, `timeline`. Breaking: `lose_lease`, `failing`, `cancel_everywhere`,
`interrupt_everywhere`, `crash_everywhere` (and more in `trioqueue.testing.chaos`). Interleavings:
`schedules`, `chosen`, `seeded`, `TrioMachine`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ._cancel import BrokenEverywhere as BrokenEverywhere
    from ._cancel import CancelReport as CancelReport
    from ._cancel import NotDeterministic as NotDeterministic
    from ._cancel import cancel_everywhere as cancel_everywhere
    from ._failing import failing as failing
    from ._history import History as History
    from ._idle import run_until_idle as run_until_idle
    from ._interrupt import BrokenByInterrupt as BrokenByInterrupt
    from ._interrupt import InterruptReport as InterruptReport
    from ._interrupt import interrupt_everywhere as interrupt_everywhere
    from ._laws import LAWS as LAWS
    from ._laws import Breach as Breach
    from ._laws import Law as Law
    from ._laws import LawBroken as LawBroken
    from ._lease import lose_lease as lose_lease
    from ._ledger import Ledger as Ledger
    from ._machine import TrioMachine as TrioMachine
    from ._open import ledger_of as ledger_of
    from ._open import open_test_queue as open_test_queue
    from ._run import run as run
    from ._schedule import chosen as chosen
    from ._schedule import schedules as schedules
    from ._schedule import seeded as seeded
    from ._script import Gate as Gate
    from ._script import blocks as blocks
    from ._script import raises as raises
    from ._script import raises_when_cancelled as raises_when_cancelled
    from ._script import returns as returns
    from ._script import script as script
    from ._script import shields as shields
    from ._script import swallows_cancellation as swallows_cancellation
    from ._script import times_out as times_out
    from ._stage import target as target
    from ._timeline import timeline as timeline
    from .chaos import BrokenByCrash as BrokenByCrash
    from .chaos import CrashReport as CrashReport
    from .chaos import crash_everywhere as crash_everywhere

#: Where each name lives. Imported at its first use: pytest imports this package with its plugin, in
#: programs that may not use any of it.
_HOMES: Final = {
    "Breach": "_laws",
    "BrokenByCrash": "chaos",
    "BrokenByInterrupt": "_interrupt",
    "BrokenEverywhere": "_cancel",
    "CancelReport": "_cancel",
    "CrashReport": "chaos",
    "Gate": "_script",
    "History": "_history",
    "InterruptReport": "_interrupt",
    "LAWS": "_laws",
    "Law": "_laws",
    "LawBroken": "_laws",
    "Ledger": "_ledger",
    "NotDeterministic": "_cancel",
    "TrioMachine": "_machine",
    "blocks": "_script",
    "cancel_everywhere": "_cancel",
    "chosen": "_schedule",
    "crash_everywhere": "chaos",
    "failing": "_failing",
    "interrupt_everywhere": "_interrupt",
    "ledger_of": "_open",
    "lose_lease": "_lease",
    "open_test_queue": "_open",
    "raises": "_script",
    "raises_when_cancelled": "_script",
    "returns": "_script",
    "run": "_run",
    "run_until_idle": "_idle",
    "schedules": "_schedule",
    "script": "_script",
    "seeded": "_schedule",
    "shields": "_script",
    "swallows_cancellation": "_script",
    "target": "_stage",
    "timeline": "_timeline",
    "times_out": "_script",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
