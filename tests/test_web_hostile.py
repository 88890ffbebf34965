"""What tasks bring to the page is whatever somebody has submitted: none of it gets anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.web_client import Page, Stream, open_page
from trioqueue import Queue, Retry, TaskSet, open_queue
from trioqueue.web._text import LONG, SHORT, encode, one_line, shown

SCRIPT = "<script>alert(1)</script>"
NASTY = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "{{csrf_token}}",
    "\x00\x07\x1b[2J\r\n",
    "\ud800 lone \udfff",
    "\u202egnp.tac \u2028 \u2029",
    "x" * 1_000_000,
    "</script><!--",
    "\N{PILE OF POO}" * 300,
]

tasks = TaskSet(retry=Retry(attempts=1))


class Evil:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Loud:
    def __repr__(self) -> str:
        return "y" * 1_000_000


@tasks.task
async def take(*args: Any, **kwargs: Any) -> None:
    await trio.sleep_forever()


@tasks.task
async def fail(message: str) -> None:
    raise ValueError(message)


@tasks.task
async def give(value: Any) -> Any:
    return value


async def look_everywhere(page: Page, task_id: str) -> dict[str, Any]:
    """Every answer in which the task may be. Each is ASCII, JSON, and of bounded size."""
    answers: dict[str, Any] = {}
    for path, params in (
        ("tasks", {}),
        ("task", {"id": task_id}),
        ("failures", {}),
        ("dead", {}),
        ("lanes", {}),
        ("overview", {}),
    ):
        response = await page.http.get(f"/api/{path}", params=params)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.content.isascii()
        assert len(response.content) < 500_000
        answers[path] = json.loads(response.content)
    return answers


async def stop(queue: Queue) -> None:
    await queue.shutdown(0)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_hostile_arguments_errors_and_results_are_text(text: str, autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            waiting = await queue.submit(take, text, **{"key": text, text: 1})
            dead = await queue.submit(fail, text)
            await dead.wait()
            good = await queue.submit(give, text)
            await good.wait()
            await trio.sleep(1)
            for handle in (waiting, dead, good):
                answers = await look_everywhere(page, handle.id)
                rows = {row["id"]: row for row in answers["tasks"]["tasks"]}
                assert len(rows[waiting.id]["args"][0]) <= SHORT + 3
                assert len(rows[dead.id]["error"]) <= 310
                assert len(rows[dead.id]["error"].splitlines()) == 1
                assert len(answers["task"]["result"] or "") <= LONG + 3
            page_text = (await page.http.get("/")).text
            assert SCRIPT not in page_text
        await stop(queue)


@pytest.mark.parametrize(
    "value",
    [
        Evil(),
        Loud(),
        b"\xff" * 1_000_000,
        10**5_000,
        [[[[[[[[[[[[1]]]]]]]]]]]],
        {str(number): "z" * 1_000 for number in range(10_000)},
        float("nan"),
        float("inf"),
        set(range(100_000)),
    ],
    ids=["no repr", "long repr", "bytes", "digits", "deep", "wide", "nan", "inf", "set"],
)
async def test_values_of_any_kind_are_shown_short(value: Any, autojump_clock: MockClock):
    """In memory an argument may be anything."""
    assert len(shown(value)) <= SHORT + 3
    assert len(shown(value, LONG)) <= LONG + 3
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            waiting = await queue.submit(take, value, value=value)
            await trio.sleep(1)
            await look_everywhere(page, waiting.id)
            answer = await page.get("tasks", text="no such text")
            assert answer["tasks"] == []
        await stop(queue)


async def test_a_value_that_holds_itself_is_shown(autojump_clock: MockClock):
    value: list[Any] = []
    value.append(value)
    assert shown(value).startswith("[[[")


@pytest.mark.parametrize(
    ("done", "total"), [(float("nan"), 1.0), (1.0, float("inf")), (1e308, None), (True, None)]
)
async def test_progress_that_is_no_number_is_none(
    done: float, total: float | None, autojump_clock: MockClock
):
    """JSON has no NaN: one task must not take the list away from all."""
    from trioqueue import current_task

    odd = TaskSet()

    @odd.task
    async def tell() -> None:
        trail = current_task()._lease.task.trace()  # past the check of `progress`
        trail.progress = (done, total)
        await trio.sleep_forever()

    async with open_queue(odd) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            handle = await queue.submit(tell)
            stream = Stream()
            nursery.start_soon(stream.run, page.app)
            await trio.sleep(2)
            answers = await look_everywhere(page, handle.id)
            assert answers["tasks"]["tasks"][0]["progress"] is not None
            assert stream.events
            page.app.end_streams()
        await stop(queue)


async def test_a_thousand_arguments_are_not_shown_all(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            await queue.submit(take, *range(1_000), **{f"n{n}": n for n in range(1_000)})
            await trio.sleep(1)
            (row,) = (await page.get("tasks"))["tasks"]
            assert len(row["args"]) == len(row["kwargs"]) == 50
        await stop(queue)


def test_what_json_has_no_word_for_is_an_error_and_not_a_broken_answer():
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(float("nan"))
    assert encode("\ud800") == b'"\\ud800"'


def test_one_line_is_one_line():
    assert one_line("a\n\tb\x00\u2028c\x1b[1m") == "a b? c?[1m"
    assert len(one_line("x " * 10_000)) <= 303
