"""The public names: documented, exported on purpose, typed by public names alone."""

import ast
import inspect
import re
import typing
from pathlib import Path

import pytest

import trioqueue
from trioqueue._model import Options, State

ROOT = Path(trioqueue.__file__).parent
SUBMODULES = {"brokers", "testing", "observe", "cli", "web"}
NAMES = sorted(name for name in dir(trioqueue) if not name.startswith("_"))
PUBLIC = {
    name: getattr(trioqueue, name)
    for name in NAMES
    if name not in SUBMODULES and not inspect.ismodule(getattr(trioqueue, name))
}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
#: What the design and the README speak of; the rest may change its name.
PROMISED = {
    "TaskSet",
    "TaskType",
    "Retry",
    "RetryLater",
    "Snooze",
    "Discard",
    "Call",
    "open_queue",
    "Queue",
    "Submission",
    "Statistics",
    "Handle",
    "Outcome",
    "OutcomeKind",
    "State",
    "Event",
    "Observer",
    "fold",
    "current_task",
    "CurrentTask",
    "DeadLetter",
    "Unfinished",
    "open_memory_broker",
    "MemoryBroker",
    "TrioqueueError",
    "TaskFailed",
    "TaskCancelled",
    "TaskExpired",
    "HandedBack",
    "ResultExpired",
    "UnknownTask",
    "QueueClosed",
    "QueuePaused",
    "WouldDeadlock",
    "LeaseLost",
    "IllegalMove",
    "NotRegistered",
    "InvalidTask",
    "InvalidArguments",
    "WrongRun",
    "KeyTaken",
}


def methods(cls: type) -> dict[str, object]:
    """What a class of ours offers by itself."""
    inherited = {name for base in cls.__mro__[1:-1] for name in vars(base)}
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and name not in inherited
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod)))
    }


METHODS = [(owner, name) for owner, cls in CLASSES.items() for name in methods(cls)]


def function_of(owner: str, name: str) -> object:
    value = vars(CLASSES[owner])[name]
    return value.fget if isinstance(value, property) else value


def test_what_is_promised_is_there() -> None:
    assert set(PUBLIC) >= PROMISED


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    value = PUBLIC[name]
    if inspect.isclass(value) or inspect.isfunction(value):
        own = value.__doc__
        assert own
        assert not own.startswith(f"{name}("), "made by dataclass, not written"
        assert own.strip()[0].isupper() or own.strip()[0] in "`(", own


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_every_public_method_has_a_docstring(owner: str, name: str) -> None:
    doc = getattr(function_of(owner, name), "__doc__", None)
    assert doc
    assert "(For " not in doc, "what is for another module of ours is not public"


def test_names_are_exported_on_purpose() -> None:
    """As `X as X`, or type checkers take them for private."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    aliases = [
        alias
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level and node.names[0].asname
        for alias in node.names
    ]
    assert all(alias.asname == alias.name for alias in aliases)
    assert {alias.name for alias in aliases} == set(PUBLIC)
    assert [alias.name for alias in aliases] == list(dict.fromkeys(a.name for a in aliases))


def test_the_version_is_that_of_the_project() -> None:
    assert trioqueue.__version__ == "0.1.0"


def words(function: object) -> set[str]:
    """The capitalised names, and those that look private, in a signature."""
    try:
        text = str(inspect.signature(function))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return set()
    text = re.sub(r"'[^']*' object at|<[^>]*>", "", text)
    names = (word.rpartition(".")[2] for word in re.findall(r"[\w.]+", text))
    return {name for name in names if name[:1].isupper() or name[:1] == "_"}


#: Words of signatures that are not classes of ours.
FOREIGN = {"Any", "Callable", "Iterable", "Mapping", "Sequence", "None", "Random", "True", "False"}
FOREIGN |= {"R", "AsyncIterator", "AsyncGenerator", "AbstractAsyncContextManager", "Self"}
FOREIGN |= {"BaseException", "Exception", "Collection", "Awaitable", "Coroutine", "Iterator"}
FOREIGN |= {"Literal", "PathLike", "AbstractContextManager"}
FOREIGN |= {"P", "R", "R_co"}  # type variables
#: The "not given" marker, and names for two shapes of callables: nobody has to write them.
SHOWN = {"UNSET", "Unset", "Lifespan", "Around", "Probe", "_AsyncGeneratorContextManager"}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        # A broker's verbs speak the broker contract's own words.
        *[method for method in METHODS if method[0] != "MemoryBroker"],
        *[(name, "__init__") for name in ("TaskSet", "Retry", "Snooze", "RetryLater")],
    ],
)
def test_signatures_speak_of_public_names_only(owner: str, name: str) -> None:
    found = words(function_of(owner, name))
    assert not found - FOREIGN - SHOWN - set(PUBLIC)


FUNCTIONS = [name for name, value in PUBLIC.items() if inspect.isfunction(value)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_speak_of_public_names_only(name: str) -> None:
    assert not words(PUBLIC[name]) - FOREIGN - SHOWN - set(PUBLIC)


def test_records_are_frozen() -> None:
    """What is handed out cannot be changed by whoever gets it."""
    for record, field in ((Options(), "queue"), (trioqueue.Retry(), "attempts")):
        with pytest.raises(AttributeError):
            setattr(record, field, 5)
        assert not hasattr(record, "__dict__")
    for cls in (trioqueue.Statistics, trioqueue.DeadLetter, trioqueue.Unfinished):
        assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert issubclass(trioqueue.Event, tuple)


def test_a_state_is_its_word() -> None:
    """So that it can be compared, printed and stored as text."""
    assert f"{State.READY}" == State.READY == "ready"


def test_the_package_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
    hints = typing.get_type_hints(trioqueue.Handle.result)
    assert "return" in hints
