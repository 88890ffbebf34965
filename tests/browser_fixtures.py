"""The fixtures for tests in a browser; nothing is started until a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import Visit, open_browser, open_visits
from tests.browser_world import World, open_world


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # By module: while it is open, an event loop of the driver's is running in this thread.
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    with open_visits(browser) as visit:
        yield visit


@pytest.fixture
def world() -> Iterator[World]:
    with open_world() as world:
        yield world
