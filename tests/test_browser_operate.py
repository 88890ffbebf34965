"""Operating from the page: each button does what it says, and says what came of it."""

from typing import Any

import pytest

from tests.browser import VIEWS, Visit, wait_until
from tests.browser_world import World, open_world

pytestmark = pytest.mark.system


def answer(page: Any, verb: str) -> str:
    """Press the dialog's button of this name; what the dialog asked."""
    asked = page.inner_text("dialog[open]")
    page.click(f"dialog[open] button:has-text('{verb}')")
    return asked


def statistics(world: World) -> Any:
    return world.call(world.queue.statistics)


def test_a_running_task_is_cancelled(world: World, visit: Visit) -> None:
    task_id = world.submit("hold", "it")
    page = visit(world.url).go("running")
    page.wait_for_selector("tbody tr:has-text('25%')")  # its progress
    page.click(f"button[aria-label='Cancel hold {task_id}']")
    page.wait_for_selector(".notice:has-text('Asked hold to stop')")
    page.wait_for_selector(".empty:has-text('Nothing runs')")
    assert statistics(world).cancelled == 1


def test_a_queue_is_paused_and_goes_on(world: World, visit: Visit) -> None:
    page = visit(world.url).go("queues")
    page.click("button[aria-label='Pause default']")
    page.wait_for_selector("tr:has-text('default') .tag:has-text('paused')")
    world.submit("echo", "waits")
    page.wait_for_selector("tr:has-text('default') td[data-label=Waiting]:has-text('1')")
    page.click("button[aria-label='Resume default']")
    world.settle()
    assert statistics(world).succeeded == 1
    page.click("text=Pause everything")
    page.wait_for_selector(".note:has-text('Everything is paused')")
    page.click("text=Resume everything")
    page.wait_for_selector("text=Pause everything")


def test_all_that_match_are_replayed(world: World, visit: Visit) -> None:
    for number in range(60):
        world.submit("fail", f"disk {number} is full")
    world.submit("fail", "another reason")
    world.settle()
    world.release()  # from now on they succeed
    page = visit(world.url).go("failures")
    page.click("a.state.dead:has-text('60 dead')")
    page.wait_for_selector("text=50 of 60")
    page.click("button:has-text('Replay all 60')")
    assert "Replay 60 dead letters?" in answer(page, "Replay 60")
    page.wait_for_selector(".notice:has-text('Replayed 60 dead letters.')")
    page.wait_for_selector(".empty:has-text('No dead letter fits')")
    world.settle()
    assert (statistics(world).succeeded, statistics(world).dead) == (60, 1)


def test_chosen_ones_are_purged_and_only_after_a_yes(world: World, visit: Visit) -> None:
    for number in range(4):
        world.submit("fail", f"disk {number} is full")
    world.settle()
    page = visit(world.url).go("dead")
    page.check("tbody tr:nth-child(1) input")
    page.check("tbody tr:nth-child(3) input")
    page.click("button:has-text('Purge 2 chosen')")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Enter")  # what has the focus is the harmless answer
    page.wait_for_selector("dialog", state="detached")
    page.click("button:has-text('Purge 2 chosen')")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert statistics(world).dead == 4
    page.click("button:has-text('Purge 2 chosen')")
    answer(page, "Purge 2")
    page.wait_for_selector(".notice:has-text('Purged 2 dead letters.')")
    wait_until(page, "document.querySelectorAll('tbody tr').length === 2")
    assert statistics(world).purged == 2


def test_a_scheduled_task_is_run_now(world: World, visit: Visit) -> None:
    task_id = world.submit("later", "not yet")
    world.settle()
    page = visit(world.url).go(f"task/{task_id}")
    page.wait_for_selector(".facts dt:text-is('Due')")
    page.click("button:has-text('Run now')")
    page.wait_for_selector(".task-head .state.dead")  # that was its last attempt
    assert page.locator("button:has-text('Run now')").count() == 0


def test_one_task_is_replayed_and_purged(world: World, visit: Visit) -> None:
    task_id = world.submit("fail", "no")
    world.settle()
    page = visit(world.url).go(f"task/{task_id}")
    page.click("button:has-text('Replay')")
    page.wait_for_selector(".timeline li:has-text('replayed')")
    page.wait_for_selector(".task-head .state.dead")  # again
    page.click("button:has-text('Purge')")
    answer(page, "Purge it")
    page.wait_for_selector(".notice:has-text('thrown away')")
    assert statistics(world).purged == 1


def test_a_task_is_submitted_by_form(world: World, visit: Visit) -> None:
    page = visit(world.url).go("submit?type=echo")
    page.fill("[id='field-parameter:value']", "ab")
    page.fill("[id='field-parameter:times']", "two")
    page.click("button:has-text('Submit echo')")
    page.wait_for_selector("[role=alert]:has-text('A whole number is needed.')")
    assert statistics(world).submitted == 0
    page.fill("[id='field-parameter:times']", "2")
    page.select_option("[id='field-parameter:loud']", "true")
    page.click("summary:has-text('Options of this one task')")
    page.fill("[id='field-option:id']", "a/b ../?#%")  # ids are the users' own words
    page.click("button:has-text('Submit echo')")
    page.click(".notice >> text=Show it")
    page.wait_for_selector(".task-head .state.succeeded")
    assert "'abab!'" in page.inner_text("main")
    assert "a/b ../?#%" in page.inner_text(".id-line")


def test_a_refusal_is_one_line(world: World, visit: Visit) -> None:
    watched = visit(world.url)
    watched.forgiven = ("the server responded with a status of 4",)
    page = watched.go("submit?type=echo")
    page.fill("[id='field-parameter:value']", "ab")
    page.click("summary:has-text('Options of this one task')")
    page.fill("[id='field-option:priority']", "256")
    page.click("button:has-text('Submit echo')")
    page.wait_for_selector(".notice.bad:has-text('priority')")
    assert page.input_value("[id='field-parameter:value']") == "ab"  # nothing typed is lost


def test_who_may_only_look_sees_no_button_that_would_do_something(visit: Visit) -> None:
    with open_world(read_only=True) as world:
        dead = world.submit("fail", "no")
        world.settle()
        world.submit("hold", "it")
        watched = visit(world.url)
        for view in (*VIEWS, f"task/{dead}"):
            page = watched.go(view)
            buttons = page.locator("main button").all_inner_texts()
            assert set(buttons) <= {"10 min", "2 h", "24 h", "Show more"}, view
            assert page.locator("main input[type=checkbox]").count() == 0
        assert page.inner_text(".where .tag") == "read-only"
        assert "Submit" not in page.inner_text("nav")


def test_ten_thousand_dead_letters_do_not_freeze_the_page(world: World, visit: Visit) -> None:
    world.wait(_many, world, 10_000)
    page = visit(world.url).go("dead")
    page.wait_for_selector("text=50 of 10,000")
    # The page's own work for a draw, measured in the page: far from what one would notice.
    longest = page.evaluate("""async () => {
      let longest = 0;
      for (let turn = 0, before = performance.now(); turn < 60; turn += 1) {
        await new Promise(requestAnimationFrame);
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
      }
      return longest;
    }""")
    assert longest < 2_000
    assert page.locator("tbody tr").count() == 50


async def _many(world: World, number: int) -> None:
    calls = [world.tasks["fail"].bind(f"disk {each} is full") for each in range(number)]
    await world.queue.submit_many(calls)
    await world._settle()
