"""Whatever a task carries is text on the page: nothing of it runs, nothing leaves the origin."""

import pytest

from tests.browser import VIEWS, Visit, wait_until
from tests.browser_world import World

pytestmark = pytest.mark.system

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'><svg onload=alert(3)>",
    "javascript:alert(4)",
    "<iframe src='https://evil.example/'></iframe>",
    "</pre></style></title><script>alert(5)</script>",
    "\u202e\u0000\ud83d\u2028 {{constructor.constructor('alert(6)')()}} ${alert(7)}",
    "<a href='javascript:alert(8)'>click</a>",
]


def test_what_tasks_carry_never_runs(world: World, visit: Visit) -> None:
    ids = [world.submit("fail", text) for text in HOSTILE]
    ids += [world.submit("later", text) for text in HOSTILE[:3]]
    world.wait(_with_options, world)
    world.settle()
    watched = visit(world.url)
    for view in (
        *VIEWS,
        *(f"task/{each}" for each in ids),
        "task/%3Cimg%20src=x%20onerror=alert(9)%3E",
    ):
        page = watched.go(view)
        assert page.locator("main :is(script, img, iframe)").count() == 0, view
        assert page.locator("a[href^='javascript:' i]").count() == 0, view
        assert page.locator("[onload], [onerror], [onclick]").count() == 0, view
    page = watched.go(f"task/{ids[1]}")
    assert "<img src=x onerror=alert(2)>" in page.inner_text(".arguments")


async def _with_options(world: World) -> None:
    text = "<img src=x onerror=alert(9)>"
    await world.queue.options(id=text, key=text, headers={"x": text}).submit(
        world.tasks["fail"], text
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_typed_into_the_address_never_runs(world: World, visit: Visit, text: str) -> None:
    watched = visit(world.url)
    page = watched.page
    page.goto(world.url)
    page.wait_for_selector(".connection.good")
    for view in ("tasks", "dead", "submit"):
        page.evaluate(
            "([view, text]) => { const t = encodeURIComponent(text.toWellFormed());"
            "location.hash = `#/${view}?text=${t}&type=${t}&error=${t}&queue=${t}&group=${t}` }",
            [view, text.encode("utf-8", "replace").decode()],
        )
        wait_until(page, "!document.querySelector('main .empty.quiet')")
    watched.forgiven = ("the server responded with a status of 4",)
    assert page.locator("main :is(script, img, iframe)").count() == 0
