"""The layers: imports run downwards only, the pure modules are pure, and an import costs little."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trioqueue

ROOT = Path(trioqueue.__file__).parent
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path for path in sorted(ROOT.rglob("*.py"))
}

INNER = [name for name in MODULES if name != "__init__"]
#: A module or a folder, as the drawing in the docstring of the package names it.
NAME = re.compile(r"(?<![\w./])(_[a-z]+|cli|web|testing|brokers/\*|observe/\*)(?=\s|$)", re.M)


def drawn() -> list[str]:
    """The rows of the drawing that have modules in them, from the bottom up.

    A line that begins with a plus goes on with the row above it.
    """
    drawing = (trioqueue.__doc__ or "").partition("::")[2].replace("\n       +", " ")
    return [line for line in reversed(drawing.splitlines()) if NAME.search(line)]


#: A row may import the rows below it and, as long as nothing goes round in a circle, its own.
ROWS = [[name.removesuffix("/*") for name in NAME.findall(line)] for line in drawn()]
PURE = ROWS[0]
#: In the row of the workers, these groups never import each other.
GROUPS = [[name for name in ROWS[2] if name.startswith("_")], ["brokers"], ["observe"]]
#: Not drawn: it only calls the command line.
ROWS[-1].append("__main__")
#: What the pure modules do without: Trio, clocks, I/O, logging.
IMPURE = {"trio", "time", "datetime", "logging", "os", "io", "socket", "threading", "random"}


def top(module: str) -> str:
    """The name by which ``ROWS`` knows a module: its folder if it is in one."""
    return module.split("/")[0]


def row(module: str) -> int:
    (number,) = (n for n, names in enumerate(ROWS) if top(module) in names)
    return number


def test_the_drawing_is_understood() -> None:
    """Five rows, and everything that there is has its place in them."""
    assert len(ROWS) == 5
    assert "_errors" in PURE
    placed = [name for names in ROWS for name in names]
    assert len(placed) == len(set(placed))
    assert {top(module) for module in INNER} <= set(placed)
    assert set(placed) - {top(module) for module in INNER} <= {"web"}, "drawn, but not there"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def statements(tree: ast.AST, *, typing: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import of a module, those for type checkers only if asked for."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif typing or not is_type_checking(child):
            yield from statements(child, typing=typing)
        elif isinstance(child, ast.If):
            for other in child.orelse:
                yield from statements(other, typing=typing)


def names_in(statement: ast.Import | ast.ImportFrom, module: str) -> Iterator[str]:
    """The absolute dotted names that a statement imports from."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    base = statement.module or ""
    if statement.level:
        package = ["trioqueue", *module.split("/")][: -statement.level]
        base = ".".join([*package, *filter(None, [base])])
    if statement.module and base != "trioqueue":
        yield base
    else:
        yield from (f"{base}.{alias.name}" for alias in statement.names)


def imports(module: str, *, typing: bool = False) -> set[str]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return {name for one in statements(tree, typing=typing) for name in names_in(one, module)}


def ours(module: str) -> set[str]:
    """The modules of the package that a module imports at run time, as ``ROWS`` names them.

    ``front``: public names, from the package itself.
    """
    parts = [name.split(".") for name in imports(module)]
    found = {part[1] for part in parts if part[0] == "trioqueue" and len(part) > 1}
    modules = {top(other) for other in MODULES}
    return {name if name in modules else "front" for name in found} - {top(module)}


@pytest.mark.parametrize("module", INNER)
def test_imports_run_downwards(module: str) -> None:
    """At run time; for type checkers alone a module may look up."""
    below = ours(module)
    assert "front" not in below or row(module) == len(ROWS) - 1
    assert not {name for name in below - {"front"} if row(name) > row(module)}
    for group in GROUPS:
        if top(module) in group:
            assert not below & {name for other in GROUPS if other != group for name in other}


@pytest.mark.parametrize("module", PURE)
def test_the_pure_modules_are_pure(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module, typing=True)}
    assert not roots & IMPURE
    assert roots - {"trioqueue"} <= set(sys.stdlib_module_names)


def test_nothing_goes_round_in_a_circle() -> None:
    edges = {module: ours(module) for module in INNER if "/" not in module}
    while free := [module for module, below in edges.items() if not below & set(edges)]:
        for module in free:
            del edges[module]
    assert not edges


@pytest.mark.parametrize("module", [name for name in INNER if top(name) in {"brokers", "observe"}])
def test_brokers_and_sinks_bring_no_policy(module: str) -> None:
    """A broker knows nothing of retries, timeouts and handlers; a sink decides nothing."""
    assert not ours(module) & {"_registry", "_retry", "_worker", "_queue", "_handle", "_current"}


def test_no_module_reaches_into_the_brokers_but_by_their_front_door() -> None:
    """The queue has no knowledge of any one broker."""
    for module in INNER:
        if top(module) not in {"brokers", "testing"}:
            names = {name for name in imports(module) if name.startswith("trioqueue.brokers")}
            assert names <= {"trioqueue.brokers._open", "trioqueue.brokers._url"}, module


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(answer.stdout.split())


def test_the_import_brings_trio_and_nothing_else() -> None:
    """Not even the parts of ours that are for tests, for operators, or for other brokers."""
    with_trio = loaded_by("import trio")
    with_ours = loaded_by("import trioqueue")
    extra = with_ours - with_trio - set(sys.stdlib_module_names)
    assert extra == {"trioqueue"}
    code = "import trioqueue, sys; print(*[m for m in sys.modules if m.startswith('trioqueue.')])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    folders = {name.split(".")[1] for name in answer.stdout.split()}
    assert not folders & {"testing", "cli", "web", "observe"}
