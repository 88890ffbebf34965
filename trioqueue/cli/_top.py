"""``trioqueue top``: a broker, live. One Trio task looks, another draws.

What is drawn is made by `_top_frame` from what `_top_look` has seen; here is only when and where.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Annotated, Final, final

import trio
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group
from rich.live import Live

from .. import BrokerUnavailable, RemoteBroker
from ..brokers._url import open_broker_url, redact
from ._broker import BrokerOption, broker_url
from ._exits import INTERRUPTED, OK, TERMINATED
from ._output import Console, flush, is_live_terminal
from ._text import complain, duration, one_line, say, say_json
from ._top_frame import View, frame
from ._top_keys import heed, open_keys
from ._top_look import Snapshot, Watch
from ._types import FLAG

EPILOGUE: Final = """\
Examples:

  trioqueue top --broker redis://localhost\n
  trioqueue top --broker sqlite:///jobs.db --interval 5\n
  trioqueue top --once | head -20\n
  trioqueue top --json | jq .rates.succeeded

Keys: q ends it, p pauses the display.

Exit codes: 0 after q or --once, 130 after Ctrl-C, 143 after SIGTERM, 1 if the broker fails.\
"""

#: Seconds after which the picture is drawn again although nothing new was seen: how long the
#: broker has been away is part of it.
_REDRAW: Final = 1.0
#: Seconds until it is told that the broker has not answered. (It may take longer to give up.)
_SILENT: Final = 2.0
#: Width and height for a picture that no terminal shows: as long as it takes.
_PAGE: Final = (100, 0)
_KEYS: Final = "q quits, p pauses the display"
_PAUSED: Final = "display paused: p goes on"
#: Points of the curve that are kept: one for each cell of a very wide terminal.
_CURVE: Final = 400


async def top(
    *,
    broker: BrokerOption = None,
    interval: Annotated[float, Parameter(validator=Number(gte=0.1, lte=3600))] = 1.0,
    once: Annotated[bool, FLAG] = False,
    json: Annotated[bool, FLAG] = False,
) -> int:
    """Watch a broker: rates, queues, running tasks, failures and workers, live in the terminal.

    Without a terminal it shows one picture and ends, as with --once.

    Parameters
    ----------
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    interval
        Seconds between two looks at the broker.
    once
        Show one picture, with the rates of one interval, and end.
    json
        Print a line of JSON for each look instead; with --once, one document.
    """
    url = broker_url(broker)
    with _quiet():
        return await _watch(url, interval, once=once, json=json)


async def _watch(url: str, interval: float, *, once: bool, json: bool) -> int:
    async with open_broker_url(url, create=False) as opened:
        live = is_live_terminal() and not json
        if once or not (live or json):
            return await _once(opened, redact(url), interval, json=json)
        shown = _Picture(redact(url)) if live else None
        return await _Top(opened, interval, shown).run()


@contextmanager
def _quiet() -> Generator[None]:
    """Of a broker that is away the picture tells; log lines would be drawn into it."""
    log, nothing = logging.getLogger("trioqueue"), logging.NullHandler()
    propagated = log.propagate
    log.addHandler(nothing)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = propagated
        log.removeHandler(nothing)


async def _once(broker: RemoteBroker, title: str, interval: float, *, json: bool) -> int:
    """Two looks, as rates are differences."""
    watch = Watch(broker)
    await watch.look()
    await trio.sleep(interval)
    snapshot = await watch.look()
    if json:
        say_json(snapshot.as_json())
        return OK
    width, _ = shutil.get_terminal_size(_PAGE)
    lines = frame(View(f"trioqueue top: {title}", snapshot), max(width, 40), None)
    if is_live_terminal():
        Console().print(Group(*lines))
    else:
        say(*(line.plain for line in lines))
    return OK


@final
class _Picture:
    """The picture on the terminal: the one place that draws."""

    def __init__(self, title: str) -> None:
        self.title = f"trioqueue top: {title}"
        self.paused = False
        self.asked: float | None = None  # when the broker was, which has not answered yet
        self.away = ""  # why it did not, the last time
        self._snapshot: Snapshot | None = None
        self._curve: deque[float] = deque(maxlen=_CURVE)
        self._changed = trio.Event()

    def show(self, snapshot: Snapshot, now_per_second: float | None) -> None:
        """From now on this is what there is to see, unless the display is paused."""
        if now_per_second is not None:
            self._curve.append(now_per_second)
        if not self.paused:
            self._snapshot = snapshot
        self.touch()

    def touch(self) -> None:
        """Draw soon."""
        self._changed.set()

    async def draw_on(self, live: Live) -> None:
        """Draw whatever is new, until cancelled."""
        while True:
            self._changed = trio.Event()
            size = live.console.size
            live.update(Group(*frame(self._view(), size.width, size.height)), refresh=True)
            with trio.move_on_after(_REDRAW):
                await self._changed.wait()

    def _view(self) -> View:
        notice = _PAUSED if self.paused else ""
        silent = 0.0 if self.asked is None else trio.current_time() - self.asked
        if self.away or silent >= _SILENT:
            notice = f"no answer from the broker for {duration(silent)}"
            notice += f": {self.away}" if self.away else ""
        curve = self._curve if _speaks_utf8() else ()
        return View(self.title, self._snapshot, notice, _KEYS, tuple(curve))


def _speaks_utf8() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


@final
class _Top:
    """Looks again and again, and shows what it sees, until it is told to end."""

    def __init__(self, broker: RemoteBroker, interval: float, picture: _Picture | None) -> None:
        self._watch = Watch(broker)
        self._interval = interval
        self._picture = picture
        self._scope = trio.CancelScope()
        self._code = OK
        self._away = False

    async def run(self) -> int:
        """Until a key or a signal; returns the exit code. Raises `BrokerFailed`."""
        with trio.open_signal_receiver(*_signals()) as signals, self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, signals)
                if self._picture is None:
                    await self._look_on()
                else:
                    await self._run_live(nursery, self._picture)
        return self._code

    async def _run_live(self, nursery: trio.Nursery, picture: _Picture) -> None:
        console = Console()
        # Not the terminal's own scrolled page: what stood there is there again at the end.
        with (
            open_keys() as keyboard,
            Live(console=console, screen=True, auto_refresh=False, transient=True) as live,
        ):
            async with trio.open_nursery() as drawing:
                drawing.start_soon(picture.draw_on, live)
                if keyboard is not None:
                    drawing.start_soon(heed, keyboard, self._press)
                await self._look_on()

    async def _look_on(self) -> None:
        """Look once in each interval, for ever. A broker that is away is asked again."""
        while True:
            begun = trio.current_time()
            if self._picture is not None and self._picture.asked is None:
                self._picture.asked = begun
            try:
                snapshot = await self._watch.look()
            except BrokerUnavailable as error:
                self._miss(error)
            else:
                self._show(snapshot)
            await trio.sleep_until(max(begun + self._interval, trio.current_time()))

    def _show(self, snapshot: Snapshot) -> None:
        self._away = False
        if self._picture is None:
            say_json(snapshot.as_json(), indent=None)
            flush()
            return
        self._picture.asked, self._picture.away = None, ""
        self._picture.show(snapshot, self._watch.per_second())

    def _miss(self, error: BrokerUnavailable) -> None:
        words = redact(one_line(str(error)))
        if self._picture is not None:
            self._picture.away = words
            self._picture.touch()
        elif not self._away:
            complain(f"the broker is away, trying again: {words}")
        self._away = True

    def _press(self, key: str) -> None:
        if key in "qQ":
            self._scope.cancel()
        elif key in "pP" and self._picture is not None:
            self._picture.paused = not self._picture.paused
            self._picture.touch()

    async def _listen(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number not in {signal.SIGINT, signal.SIGTERM}:  # the terminal has another size
                if self._picture is not None:
                    self._picture.touch()
                continue
            self._code = INTERRUPTED if number == signal.SIGINT else TERMINATED
            self._scope.cancel()
            return


def _signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGWINCH")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
