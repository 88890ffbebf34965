"""The documents say what the code says: names, signatures, tables, and the tests that they cite."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import trioqueue
from trioqueue import observe, testing, web
from trioqueue._model import TABLE

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CHANGELOG.md", "docs/*.md", "docs/howto/*.md"]
DOCS = sorted(page for pattern in PAGES for page in ROOT.glob(pattern))
#: A line of the reference: "- `name(signature)`: words", indented for what belongs to a class.
ENTRY = re.compile(
    r"^(?P<indent> *)- `(?P<head>(?:await )?(?P<name>\.?\w+)(?:\(.*\))?)`: (?P<words>.+)"
)
#: Their methods are for brokers' authors, or for the toolkit's own wrappers.
UNLISTED = {
    *(
        "MemoryBroker",
        "SqliteBroker",
        "RedisBroker",
        "Broker",
        "RemoteBroker",
        "Emitter",
        "Task",
        "Lease",
    ),
    *("Settlement", "JsonFormatter", "HumanFormatter"),
}
UNLISTED_METHODS = {
    ("Ledger", name)
    for name in ("note", "now", "own_lease", "inside_handler", "began", "ended", "watching", "left")
}


def _public() -> dict[str, object]:
    """What a package imports as itself, `from ._x import A as A`, at once or at its first use."""
    found: dict[str, object] = {}
    for module in (trioqueue, observe, web, testing):
        names = re.findall(r"import (\w+) as \1$", inspect.getsource(module), re.MULTILINE)
        found |= {name: getattr(module, name) for name in names}
    return found


PUBLIC = _public()
LINES = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8").splitlines()
ENTRIES = [found for found in map(ENTRY.match, LINES) if found is not None]
NAMES = [entry["name"] for entry in ENTRIES if not entry["indent"]]


def _members() -> list[tuple[str, str, str]]:
    """(class, method, head) of all indented entries."""
    found, owner = [], ""
    for entry in ENTRIES:
        if not entry["indent"]:
            owner = entry["name"]
        else:
            found.append((owner, entry["name"].removeprefix("."), entry["head"]))
    return found


MEMBERS = _members()


def _head(name: str, function: object, *, method: bool) -> str:
    """How the reference writes a call: names and defaults, without annotations."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    shown = str(
        signature.replace(
            parameters=parameters[1:] if method else parameters, return_annotation=signature.empty
        )
    )
    shown = re.sub(r"<(?:class|built-in function) '?(\w+)'?>", r"\1", shown)
    waits = inspect.iscoroutinefunction(inspect.unwrap(function))  # type: ignore[arg-type]
    return f"{'await ' if waits else ''}{'.' if method else ''}{name}{shown}".replace(
        "=UNSET", "=..."
    )


def test_the_reference_has_every_public_name_once():
    assert sorted(NAMES) == sorted(PUBLIC)


@pytest.mark.parametrize(
    "head", [entry["head"] for entry in ENTRIES if not entry["indent"] and "(" in entry["head"]]
)
def test_a_signature_in_the_reference_is_that_of_the_code(head: str):
    name = head.removeprefix("await ").partition("(")[0]
    assert head == _head(name, PUBLIC[name], method=False)


@pytest.mark.parametrize(("owner", "name", "head"), MEMBERS)
def test_a_member_in_the_reference_is_that_of_the_code(owner: str, name: str, head: str):
    member = vars(PUBLIC[owner]).get(name)
    if "(" in head:
        assert head == _head(name, member, method=True)
    else:
        assert member is None or isinstance(member, property)


@pytest.mark.parametrize(
    "owner", [name for name, value in PUBLIC.items() if inspect.isclass(value)]
)
def test_the_reference_has_every_method(owner: str):
    cls = PUBLIC[owner]
    methods = {
        name
        for name, value in vars(cls).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
    listed = {name for of, name, _ in MEMBERS if of == owner}
    wanted = set() if owner in UNLISTED else methods
    assert not wanted - listed - {name for of, name in UNLISTED_METHODS if of == owner}


@pytest.mark.parametrize(
    "name", ["Statistics", "DeadLetter", "ErrorRecord", "Unfinished", "Options", "Event"]
)
def test_the_reference_has_every_field(name: str):
    cls = PUBLIC[name]
    fields = getattr(cls, "_fields", None) or [
        field.name
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        if field.init
    ]
    (words,) = (entry["words"] for entry in ENTRIES if entry["name"] == name)
    assert [field for field in fields if f"`{field}`" not in words] == []


@pytest.mark.parametrize("name", ["State", "Move", "OutcomeKind"])
def test_the_reference_has_every_word(name: str):
    (words,) = (entry["words"] for entry in ENTRIES if entry["name"] == name)
    assert re.findall(r"`([a-z_]+)`", words) == [member.value for member in PUBLIC[name]]  # type: ignore[attr-defined]


def _rows(heading: str) -> list[list[str]]:
    """The rows of the first table whose head is ``heading``."""
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    table = text.partition(f"{heading}\n")[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]
    ]


def test_the_laws_are_those_that_are_checked():
    assert _rows("| law | it says |") == [[law.name, law.says] for law in testing.LAWS]


def test_the_life_cycle_is_the_table():
    assert _rows("| move | from | to |") == [
        [
            move.value,
            ", ".join("(new)" if state is None else state.value for state in row),
            *{state.value for state in row.values()},
        ]
        for move, row in TABLE.items()
    ]


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_cites_is_there(page: Path):
    """Files of the repository by their path, tests by ``file::name``."""
    cited = re.findall(
        r"`((?:tests|benchmarks|trioqueue|docs)/[\w./]+)(?:::(\w+))?`", page.read_text("utf-8")
    )
    for path, test in cited:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), test
