"""The page when its server goes away and comes back, and under a prefix."""

import pytest

from tests.browser import Visit, wait_until
from tests.browser_world import World, open_world

pytestmark = pytest.mark.system


def test_a_server_that_comes_back_is_found_again(visit: Visit) -> None:
    with open_world() as before:
        port = before.port
        watched = visit(before.url)
        watched.forgiven = ("Failed to load resource",)
        page = watched.go("queues")
    page.wait_for_selector(".connection.bad:has-text('not connected, last seen')")
    wait_until(page, "/last seen [1-9]\\d* s ago/.test(document.body.innerText)")
    page.click("button:has-text('Pause everything')")
    page.wait_for_selector(".notice.bad:has-text('The server does not answer.')")
    with open_world(port=port) as after:
        page.wait_for_selector(".connection.good")
        # The new server has other tokens: the page fetches one, and what was asked for is done.
        page.click("button:has-text('Pause everything')")
        page.wait_for_selector(".note:has-text('Everything is paused')")
        page.click("button:has-text('Resume everything')")
        after.submit("echo", "new")
        page.click("nav >> text=Overview")
        page.wait_for_selector(".tile:has-text('Throughput')")
        page.wait_for_selector(".verdict:has-text('All is well.')")


def test_it_works_under_a_prefix(visit: Visit) -> None:
    with open_world(prefix="/ops/queue") as world:
        watched = visit(world.url.rstrip("/"))  # without the slash it is sent on
        watched.page.goto(watched.url)
        watched.url = world.url
        page = watched.go("queues")
        page.click("button[aria-label='Pause default']")
        page.wait_for_selector(".tag:has-text('paused')")


def test_a_view_that_breaks_says_so_in_one_line(world: World, visit: Visit) -> None:
    watched = visit(world.url)
    page = watched.page
    page.route("**/api/lanes", lambda route: route.fulfill(status=500, json={"error": "a bad day"}))
    watched.forgiven = ("the server responded with a status of 500",)
    watched.go("queues")
    page.wait_for_selector(".note.bad:has-text('a bad day')")
    page.unroute("**/api/lanes")
    page.wait_for_selector("button[aria-label='Pause default']")
    assert not page.is_visible(".note.bad")
