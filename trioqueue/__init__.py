"""trioqueue: the task queue for structured concurrency.

The layers, imports running downwards only::

    cli   web   testing
       \\   |   /
         _open  _queue  _remote  _submission  _letterbox  _handle
            |
         _pool  _worker  _calls  _waits  _turn  _current      brokers/*      observe/*
       + _feed  _committer  _keeper  _pace  _until
              \\            |                 /             /
             _backend  _broker   _events   _patience  _nursery   _ki   _ids
       + _running   _instrument
                           \\        /
       _deadlock  _decide  _registry  _letters  _retry  _model  _checks  _errors
       + _rates  _failures                                                         pure
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._broker import Broker as Broker
from ._broker import Counts as Counts
from ._broker import HistoryEntry as HistoryEntry
from ._broker import Inspector as Inspector
from ._broker import LaneCounts as LaneCounts
from ._broker import RemoteBroker as RemoteBroker
from ._broker import WorkerRecord as WorkerRecord
from ._current import CurrentTask as CurrentTask
from ._current import current_task as current_task
from ._errors import BrokerFailed as BrokerFailed
from ._errors import BrokerUnavailable as BrokerUnavailable
from ._errors import HandedBack as HandedBack
from ._errors import IllegalMove as IllegalMove
from ._errors import InvalidArguments as InvalidArguments
from ._errors import InvalidTask as InvalidTask
from ._errors import KeyTaken as KeyTaken
from ._errors import LeaseLost as LeaseLost
from ._errors import NotRegistered as NotRegistered
from ._errors import QueueClosed as QueueClosed
from ._errors import QueueFull as QueueFull
from ._errors import QueuePaused as QueuePaused
from ._errors import ResultExpired as ResultExpired
from ._errors import ResultNotStored as ResultNotStored
from ._errors import TaskCancelled as TaskCancelled
from ._errors import TaskError as TaskError
from ._errors import TaskExpired as TaskExpired
from ._errors import TaskFailed as TaskFailed
from ._errors import TrioqueueError as TrioqueueError
from ._errors import UnknownTask as UnknownTask
from ._errors import WouldDeadlock as WouldDeadlock
from ._errors import WrongRun as WrongRun
from ._events import Emitter as Emitter
from ._events import Event as Event
from ._events import Observer as Observer
from ._events import fold as fold
from ._handle import Handle as Handle
from ._instrument import Instrument as Instrument
from ._letterbox import DeadLetters as DeadLetters
from ._letters import DeadLetter as DeadLetter
from ._letters import Statistics as Statistics
from ._letters import Unfinished as Unfinished
from ._model import ErrorRecord as ErrorRecord
from ._model import Lease as Lease
from ._model import Move as Move
from ._model import Options as Options
from ._model import Outcome as Outcome
from ._model import OutcomeKind as OutcomeKind
from ._model import Settlement as Settlement
from ._model import State as State
from ._model import Task as Task
from ._model import Trail as Trail
from ._open import open_queue as open_queue
from ._queue import Queue as Queue
from ._registry import AsyncTaskType as AsyncTaskType
from ._registry import Call as Call
from ._registry import TaskSet as TaskSet
from ._registry import TaskType as TaskType
from ._registry import ThreadTaskType as ThreadTaskType
from ._retry import Discard as Discard
from ._retry import Retry as Retry
from ._retry import RetryLater as RetryLater
from ._retry import Snooze as Snooze
from ._submission import Submission as Submission
from .brokers._memory import MemoryBroker as MemoryBroker
from .brokers._memory import open_memory_broker as open_memory_broker

if TYPE_CHECKING:
    from .brokers._redis import RedisBroker as RedisBroker
    from .brokers._redis_address import RedisAddress as RedisAddress
    from .brokers._redis_open import open_redis_broker as open_redis_broker
    from .brokers._sqlite import SqliteBroker as SqliteBroker
    from .brokers._sqlite import open_sqlite_broker as open_sqlite_broker

__version__ = "0.1.0"

#: Name -> the module that it is imported from at its first use: programs in memory do without.
_LATER = {
    "RedisAddress": "_redis_address",
    "RedisBroker": "_redis",
    "SqliteBroker": "_sqlite",
    "open_redis_broker": "_redis_open",
    "open_sqlite_broker": "_sqlite",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(import_module(f"{__name__}.brokers.{module}"), name)
    globals()[name] = found
    _speak_of_the_package()
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER} - {"Any", "TYPE_CHECKING", "import_module"})


def _speak_of_the_package() -> None:
    """Tracebacks and dead letters name a class as users know it, not where it is written."""
    for value in list(globals().values()):
        if getattr(value, "__module__", "").startswith("trioqueue."):
            value.__module__ = __name__


_speak_of_the_package()
