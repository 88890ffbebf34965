"""The page without a mouse."""

import pytest

from tests.browser import Visit, wait_until
from tests.browser_world import World

pytestmark = pytest.mark.system


def test_everything_is_reached_by_keys(world: World, visit: Visit) -> None:
    for number in range(3):
        world.submit("fail", f"disk {number} is full")
    world.settle()
    page = visit(world.url).go()
    press = page.keyboard.press
    for letter, heading in {
        "r": "Running now",
        "t": "Tasks",
        "f": "Failures",
        "q": "Queues",
        "w": "Workers",
        "s": "Submit a task",
        "o": "Overview",
        "d": "Dead letters",
    }.items():
        press("g")
        press(letter)
        page.wait_for_selector(f"h1:text-is('{heading}')")
        # Who listens to the page is told where he is.
        wait_until(page, "document.activeElement.tagName === 'H1'")
    page.wait_for_selector("tbody tr")
    press("j")
    press("j")
    press("k")
    first = page.locator("tbody tr a.call").first
    assert first.evaluate("each => each === document.activeElement")
    press("Enter")
    page.wait_for_selector("h2.task-type")
    press("/")
    wait_until(page, "document.activeElement.matches('[data-search]')")
    page.keyboard.type("g d ?")  # letters, while something is typed
    wait_until(page, "location.hash.includes('text=g+d')")
    assert not page.is_visible("dialog")


def test_help_opens_and_closes(world: World, visit: Visit) -> None:
    page = visit(world.url).go()
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]:has-text('Keyboard')")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_the_first_tab_skips_what_every_view_has(world: World, visit: Visit) -> None:
    page = visit(world.url).go()
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("each => each === document.activeElement")
    wait_until(page, "document.querySelector('.skip').getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_what_has_the_focus_is_seen(world: World, visit: Visit) -> None:
    page = visit(world.url).go()
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate("""() => {
          const style = getComputedStyle(document.activeElement);
          return [document.activeElement.outerHTML.slice(0, 90), style.outlineStyle,
                  parseFloat(style.outlineWidth)];
        }""")
        if here[0].startswith("<body"):
            break
        seen.add(here[0])
        assert here[1] == "solid", here
        assert here[2] >= 2, here
    assert len(seen) > 15
