"""The page in a real browser: every view shows what is, keeps up with it, and can be read."""

import re

import pytest

from tests.browser import VIEWS, Visit, wait_until
from tests.browser_looks import CUT_OFF, NAMELESS, PALE, SHIFT, TOO_WIDE
from tests.browser_world import World

pytestmark = pytest.mark.system


@pytest.fixture
def busy(world: World) -> World:
    """Something in every list: running, waiting, scheduled, succeeded, dead."""
    world.submit("echo", "good morning")
    for number in range(3):
        world.submit("fail", f"disk {number} is full")
    world.submit("later", "connection reset")
    world.settle()
    for number in range(6):
        world.submit("hold", f"number {number}")
    return world


def test_every_view_shows_what_there_is(busy: World, visit: Visit) -> None:
    watched = visit(busy.url)
    says = {
        "": "ValueError: disk # is full",
        "running": "hold('number 0')",
        "tasks": "fail('disk 1 is full')",
        "failures": "ValueError: disk # is full",
        "dead": "fail('disk 2 is full')",
        "queues": "mail",
        "workers": "4 of 4",
        "submit": "Say it again.",
    }
    for view in VIEWS:
        page = watched.go(view)
        page.wait_for_selector(f"main:has-text({says[view]!r})")
    page = watched.go("no/such/place")
    assert "There is no such page" in page.inner_text("main")


def test_the_overview_lives(world: World, visit: Visit) -> None:
    page = visit(world.url).go()
    page.wait_for_selector(".verdict:has-text('Nothing has been submitted yet')")
    world.submit("fail", "no paper")
    page.wait_for_selector(".tile:has-text('Dead letters') .tile-value:text-is('1')")
    page.wait_for_selector("nav a:has-text('Dead letters') .number:has-text('1')")
    page.wait_for_selector(".verdict:has-text('100% of the attempts fail')")
    page.wait_for_selector(".failure-error:has-text('ValueError: no paper')")
    page.wait_for_selector(".chart:has-text('Throughput') .stroke[d^='M']", state="attached")


def test_a_task_tells_its_story(world: World, visit: Visit) -> None:
    task_id = world.submit("fail", "x" * 5_000)
    world.settle()
    watched = visit(world.url)
    page = watched.go("dead")
    page.click("a.call")
    page.wait_for_selector("h2.task-type:has-text('fail')")
    assert task_id in page.inner_text("main")
    for name in ("submitted", "started", "died"):
        page.wait_for_selector(f".timeline li:has-text('{name}')")
    assert page.inner_text(".timeline li:has-text('started') .token") == "token 1"
    assert "Traceback (most recent call last)" in page.inner_text(".errors details[open] pre")
    folded = page.locator(".arguments details")
    assert "5,00" in folded.inner_text()  # its size is told instead of it
    assert folded.get_attribute("open") is None
    watched.forgiven = ("the server responded with a status of 404",)
    page = watched.go("task/no-such-task")
    page.wait_for_selector(".empty:has-text('No such task is known')")


def test_tasks_are_found(busy: World, visit: Visit) -> None:
    page = visit(busy.url).go("tasks")
    rows = page.locator("tbody tr")
    page.fill("[data-search]", "disk 1")
    wait_until(page, "document.querySelectorAll('tbody tr').length === 1")
    assert "text=disk" in page.url  # the address can be sent to somebody
    page.fill("[data-search]", "")
    page.select_option("select >> nth=0", "dead")
    wait_until(page, "document.querySelectorAll('tbody tr').length === 3")
    assert {"fail" in text for text in rows.all_inner_texts()} == {True}
    page.fill("[data-search]", "nothing like it")
    page.wait_for_selector(".empty:has-text('No task fits')")
    page.click("text=Show all tasks")
    wait_until(page, "document.querySelectorAll('tbody tr').length > 9")


def test_longer_lists_are_read_as_far_as_one_asks(world: World, visit: Visit) -> None:
    for number in range(70):
        world.submit("fail", f"number {number}")
    world.settle()
    page = visit(world.url).go("dead")
    page.wait_for_selector("text=50 of 70")
    page.click("text=Show more")
    page.wait_for_selector("text=70 of 70")
    assert page.locator("tbody tr").count() == 70


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(busy: World, visit: Visit, scheme: str) -> None:
    watched = visit(busy.url, color_scheme=scheme)
    ids = [letter.id for letter in busy.call(busy.queue.dead_letters.list)]
    for view in (*VIEWS, f"task/{ids[0]}"):
        page = watched.go(view)
        assert page.evaluate(PALE) == [], view
        assert page.evaluate(NAMELESS) == [], view
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate(PALE) == []


def test_a_phone_is_wide_enough(busy: World, visit: Visit) -> None:
    busy.submit("fail", "a_word_that_does_not_end" * 40)
    watched = visit(busy.url, width=360, has_touch=True, is_mobile=True)
    ids = [letter.id for letter in busy.call(busy.queue.dead_letters.list)]
    for view in (*VIEWS, f"task/{ids[-1]}"):
        page = watched.go(view)
        assert page.evaluate(TOO_WIDE) <= 0, view
        assert page.evaluate(CUT_OFF) == [], view
    assert not page.is_visible("nav")
    page.click("button[aria-label=Menu]")
    page.click("nav >> text=Dead letters")
    page.wait_for_selector("h1:has-text('Dead letters')")
    assert not page.is_visible("nav")


def test_colours_follow_the_system_and_the_switch(world: World, visit: Visit) -> None:
    page = visit(world.url, color_scheme="dark").go()
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.click("button[aria-label='Colours: as the system']")
    page.wait_for_selector("button[aria-label='Colours: light']")
    light = page.evaluate(paper)
    assert sum(map(int, re.findall(r"\d+", light))) > sum(map(int, re.findall(r"\d+", dark))) + 300
    page.reload()  # it is remembered, from the first paint on
    assert page.evaluate(paper) == light
    page.keyboard.press("c")
    page.wait_for_selector("button[aria-label='Colours: dark']")
    assert page.evaluate(paper) == dark


def test_nothing_jumps_while_numbers_arrive(busy: World, visit: Visit) -> None:
    page = visit(busy.url).go()
    page.wait_for_selector(".chart:has-text('Throughput') .stroke[d^='M']", state="attached")
    page.wait_for_selector(".failures li")
    assert page.evaluate(SHIFT) < 0.1


def test_motion_is_reduced_for_who_asks(world: World, visit: Visit) -> None:
    page = visit(world.url, reduced_motion="reduce").go()
    moving = "[...document.querySelectorAll('*')].filter(e => e.getAnimations().length).length"
    assert page.evaluate(moving) == 0
