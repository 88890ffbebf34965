"""How a worker process is asked to stop, and how it surely ends: signals, supervisor, hard limit.

Signals arrive in the main thread, between any two bytecodes; what the supervisor says arrives in a
thread of its own. Neither may depend on Trio: a handler that blocks the event loop must not keep a
stop from ending. So the hard limit is kept by a thread as well, and everything is told through
``SimpleQueue``, whose ``put`` is safe in signal handlers.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, final

import trio

from ._exits import LEFT_RUNNING, OK

#: Seconds from the end of the grace to the end by force: for clean-ups of cancelled handlers, and
#: to give their tasks back to the broker.
HARD_LIMIT: Final = 5.0

#: What a supervisor writes into the pipe. The pipe's end means that the supervisor is no more.
SAY_STOP: Final = b"s"
SAY_NOW: Final = b"n"

#: As far as the system has them.
STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def heeded_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask for a stop; not a SIGHUP that is ignored, as ``nohup`` has it."""
    return tuple(
        number
        for number in STOP_SIGNALS
        if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN
    )


class Request(NamedTuple):
    """A stop asked for. ``now``: without the grace."""

    why: str
    now: bool


@final
class Stop:
    """The stop of this process: asked for at any time, from before Trio runs to the very end."""

    def __init__(self, grace: float, last_words: Callable[[], str]) -> None:
        self.grace: Final = grace
        self._last_words = last_words  # why the process ends by force; called in another thread
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._ends: SimpleQueue[float] = SimpleQueue()  # deadlines, on the monotonic clock
        self._signalled = False
        self._wake: Callable[[], object] = _nothing
        self._begun = False
        self._lock = threading.Lock()

    def obey(self, pipe: int) -> None:
        """Do what the supervisor says through a pipe. Before `begin`, a stop is an exit."""
        os.set_inheritable(pipe, False)  # processes that handlers start have no part in it
        self._start_thread(self._read, pipe)

    def begin(self) -> None:
        """From now on a stop is one with a grace: heed the signals, and keep the hard limit."""
        self._start_thread(self._keep_limit)
        for number in heeded_signals():
            signal.signal(number, self._on_signal)
        with self._lock:
            self._begun = True

    @contextmanager
    def requests(self) -> Generator[trio.MemoryReceiveChannel[Request]]:
        """The requests as they arrive, those from before included, in Trio."""
        send, receive = trio.open_memory_channel[Request](math.inf)
        token = trio.lowlevel.current_trio_token()

        def move() -> None:
            while not self._requests.empty():
                send.send_nowait(self._requests.get_nowait())

        def wake() -> None:
            try:
                token.run_sync_soon(move, idempotent=True)
            except trio.RunFinishedError:
                pass  # the process is ending already

        self._wake = wake
        move()
        try:
            yield receive
        finally:
            self._wake = _nothing

    def ask(self, why: str, *, now: bool = False) -> None:
        """Ask for a stop. From any thread, and from a signal handler."""
        self._ends.put(time.monotonic() + (0 if now else self.grace) + HARD_LIMIT)
        self._requests.put(Request(why, now))
        self._wake()

    def _on_signal(self, number: int, frame: object) -> None:
        again, self._signalled = self._signalled, True
        self.ask(signal.Signals(number).name, now=again)

    def _read(self, pipe: int) -> None:
        """Until the pipe ends."""
        while True:
            word = os.read(pipe, 1)
            with self._lock:
                if not self._begun:
                    os._exit(OK)
            if not word:
                self.ask("the supervisor is gone")
                return
            self.ask("the supervisor's word", now=word == SAY_NOW)

    def _keep_limit(self) -> None:
        """End the process at the earliest deadline that was set."""
        end = math.inf
        while True:
            left = None if end == math.inf else max(0.0, end - time.monotonic())
            try:
                end = min(end, self._ends.get(timeout=left))
            except Empty:
                self._end_by_force()

    def _end_by_force(self) -> None:
        # Not by logging, whose lock may be held by the very thread that hangs.
        try:
            os.write(2, f"trioqueue[{os.getpid()}]: {self._last_words()}\n".encode())
        finally:
            os._exit(LEFT_RUNNING)

    def _start_thread(self, function: Callable[..., None], *args: object) -> None:
        # A daemon: it neither keeps the process alive nor outlives it.
        threading.Thread(target=function, args=args, name="trioqueue stop", daemon=True).start()


def _nothing() -> None:
    """Nobody listens yet."""
