"""Hypothesis profiles, and the knobs by which a run can be made harsher or repeated.

TRIOQUEUE_SEED              seeds Trio's scheduler for each test; drawn afresh and printed otherwise
TRIOQUEUE_RACE_SEEDS        examples for each property: the profile `race`
TRIOQUEUE_SWITCH_INTERVAL   seconds between switches of threads, see sys.setswitchinterval

Which server the Redis tests run on: see redis_server.py.
"""

import os
import random
import sys
from pathlib import Path

import hypothesis
import pytest
import trio
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from tests.browser_fixtures import browser as browser
from tests.browser_fixtures import visit as visit
from tests.browser_fixtures import world as world
from tests.redis_fixtures import own_redis as own_redis
from tests.redis_fixtures import redis_cluster as redis_cluster
from tests.redis_fixtures import redis_queue as redis_queue
from tests.redis_fixtures import redis_replicated as redis_replicated
from tests.redis_fixtures import redis_server as redis_server
from tests.redis_fixtures import start_redis as start_redis

ROOT = Path(__file__).resolve().parent.parent
SEED = os.environ.get("TRIOQUEUE_SEED") or str(random.SystemRandom().randrange(2**32))
RACE_SEEDS = os.environ.get("TRIOQUEUE_RACE_SEEDS")
SWITCH_INTERVAL = os.environ.get("TRIOQUEUE_SWITCH_INTERVAL")

if SWITCH_INTERVAL:
    sys.setswitchinterval(float(SWITCH_INTERVAL))


def _database() -> ExampleDatabase | None:
    """Failing examples are kept for the next run, unless the checkout is read-only."""
    if os.access(ROOT, os.W_OK):
        return DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
    return None


for _name, _examples in {"dev": 40, "ci": 100, "race": int(RACE_SEEDS or 500)}.items():
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        # No test asserts the time of a machine that has other work to do.
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
        # Each run looks at new examples; a failure prints how to repeat it.
        derandomize=False,
        print_blob=True,
        database=_database(),
    )
PROFILE = "race" if RACE_SEEDS else "ci" if os.environ.get("CI") else "dev"
hypothesis.settings.load_profile(PROFILE)


def pytest_report_header() -> str:
    return f"trioqueue: TRIOQUEUE_SEED={SEED}, hypothesis profile {PROFILE}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Trio shuffles what is runnable; with Hypothesis imported it does so by this source alone.
    # A property (@given) is seeded by Hypothesis instead.
    trio._core._run._r.seed(f"{SEED} {item.nodeid}")
