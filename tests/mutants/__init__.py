"""Planted bugs: each is to be found by a named part of the suite. See `Mutant`."""

from tests.mutants._broker import BROKER
from tests.mutants._elsewhere import ELSEWHERE
from tests.mutants._metrics import METRICS
from tests.mutants._mutant import LAW_NAMES, PROMISES, Mutant
from tests.mutants._observe import OBSERVE
from tests.mutants._operate import OPERATE
from tests.mutants._pool import POOL
from tests.mutants._redis import REDIS
from tests.mutants._redis_wire import REDIS_WIRE
from tests.mutants._rules import RULES
from tests.mutants._sqlite import SQLITE
from tests.mutants._web import WEB

__all__ = ["LAW_NAMES", "MUTANTS", "PROMISES", "Mutant"]

MUTANTS = (
    *POOL,
    *BROKER,
    *RULES,
    *ELSEWHERE,
    *SQLITE,
    *REDIS,
    *REDIS_WIRE,
    *WEB,
    *OBSERVE,
    *METRICS,
    *OPERATE,
)
