"""Text and JSON of the commands: whatever somebody has put into a name, an argument or an error."""

import json

import pytest

from trioqueue import ErrorRecord
from trioqueue.cli._dead_text import describe_errors, moment
from trioqueue.cli._text import complain, say, say_json

#: Clears the screen, sets the title, colours by a C1 code, turns the line round, ends it; no UTF-8.
HOSTILE = "\x1b[2J\x1b]0;x\x07\x9b31m\u202e\u2028\r\n\0\udcff"


def test_an_errors_text_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]):
    """Neither its message nor its traceback, in which the message stands once more."""
    traceback = f"Traceback:\n\traise ValueError\nValueError: {HOSTILE}"
    say(*describe_errors([ErrorRecord(1, "error", "ValueError", HOSTILE, traceback)]))
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert "\n        raise ValueError\n" in shown
    assert "?[2J?]0;x?" in shown


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]):
    """What would end it early could pass for another line."""
    say(f"Task {HOSTILE}")
    complain(f"{HOSTILE}: no such task")
    out, err = capsys.readouterr()
    for shown in (out, err):
        assert shown.endswith("\n")
        assert shown[:-1].isprintable()


def test_text_of_any_language_is_left_as_it_is(capsys: pytest.CaptureFixture[str]):
    """An ideographic space is a space, and no danger."""
    say("größe \u540d\u524d\u3000\U0001f40d")
    assert capsys.readouterr().out == "größe \u540d\u524d \U0001f40d\n"


@pytest.mark.parametrize("indent", [2, None])
def test_json_is_ascii_and_comes_back_the_same(
    capsys: pytest.CaptureFixture[str], indent: int | None
):
    """Lone surrogates as well, which handlers get from names of files."""
    value = {"error": HOSTILE, "nested": [{"é": 1.5}, None], "none": [float("nan"), float("inf")]}
    say_json(value, indent=indent)
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == value | {"none": [None, None]}
    assert (shown.count("\n") == 1) is (indent is None)


@pytest.mark.parametrize("seconds", [1e308, float("inf"), float("nan"), 1e14])
def test_a_time_that_no_calendar_has_is_told_as_it_is(seconds: float):
    """Whoever writes a broker may write anything into it."""
    assert moment(seconds) == f"{seconds:g}"
