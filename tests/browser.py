"""Debian's Chromium, driven by playwright; a page that notices what must not happen in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

VIEWS = ("", "running", "tasks", "failures", "dead", "queues", "workers", "submit")

#: Milliseconds that a condition may take on a busy machine.
PATIENCE = 30_000


@contextmanager
def open_browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail("these tests need playwright: pip install --group browser", pytrace=False)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("these tests need chromium on PATH: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        # Without a sandbox: it cannot be set up by root, which is who runs tests in containers.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def wait_until(page: Any, expression: str) -> None:
    """Wait until the expression is true in the page.

    Playwright's own way evaluates it in the page, which the page's security policy forbids.
    """
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not true within {PATIENCE} ms: {expression}"
        page.wait_for_timeout(20)


class Watched:
    """A page, and everything that it did and should not have done."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.wrong: list[str] = []
        self.forgiven: tuple[str, ...] = ()  # parts of messages that a test brings about on purpose
        page.set_default_timeout(PATIENCE)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", self._refuse)
        page.on("request", self._see)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _refuse(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _see(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.wrong.append(f"left the origin: {request.url}")

    def go(self, view: str = "") -> Any:
        """Open a view, and wait until it has its data. Returns playwright's page."""
        self.page.goto(f"{self.url}#/{view}")
        self.page.wait_for_selector("main h1")
        self.page.wait_for_selector(".connection.good")
        wait_until(self.page, "!document.querySelector('main .empty.quiet')")
        return self.page

    def check(self) -> None:
        wrong = [each for each in self.wrong if not any(part in each for part in self.forgiven)]
        assert not wrong, wrong


Visit = Callable[..., Watched]


@contextmanager
def open_visits(browser: Any) -> Iterator[Visit]:
    """A function that opens a watched page in a context of its own; all are checked in the end."""
    contexts: list[Any] = []
    visits: list[Watched] = []

    def visit(url: str, *, width: int = 1280, **options: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        visits.append(Watched(context.new_page(), url))
        return visits[-1]

    try:
        yield visit
        for each in visits:
            each.check()
    finally:
        for context in contexts:
            context.close()
