"""Pages with the docstring of every public name, and links to them from wherever one is mentioned.

`reference.md` lists the names, in its order and under its headings; a page is made for each heading
(`api/*.rst`, not kept in the repository). A public name without a place there, or whose docstring
did not make it onto a page, is a warning, hence an error in a build with `-W`.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)

REFERENCE = Path(__file__).parent.parent / "reference.md"
#: Where public names live; a later module does not hide the names of an earlier one.
MODULES = ("trioqueue", "trioqueue.observe", "trioqueue.web", "trioqueue.testing")
ENTRY = re.compile(r"- `(?:await )?(\w+)")
MENTION = re.compile(r"(?:await )?(?P<path>\w+(?:\.\w+)*)(?P<call>\(.*\))?")
#: What variables are called in examples -> the class whose members are meant.
VARIABLES = {
    "queue": "Queue",
    "handle": "Handle",
    "inspector": "Inspector",
    "dead_letters": "DeadLetters",
    "outcome": "Outcome",
    "task": "TaskType",
    "tasks": "TaskSet",
    "letter": "DeadLetter",
    "ledger": "Ledger",
}
#: Protocols that others implement: all that they have is their interface.
PROTOCOLS = ("Broker", "RemoteBroker", "Inspector")
#: Packages that the docs do not link to: annotations of theirs are left as they are.
FOREIGN = re.compile(r"^(?!trioqueue)|\._|^trioqueue\.(?:brokers|cli)\b")


class Section(NamedTuple):
    """A heading of the reference, and the names under it."""

    title: str
    names: list[str]

    @property
    def page(self) -> str:
        """The name of its page."""
        return re.sub(r"\W+", "-", self.title.partition(":")[0].lower())


def public() -> dict[str, object]:
    """Public name -> what it is."""
    return {name: getattr(importlib.import_module(home(name)), name) for name in _homes()}


def home(name: str) -> str:
    """The module that a public name is imported from."""
    return _homes()[name]


@cache
def _homes() -> dict[str, str]:
    """Public name -> its module: what a package imports as itself, `from ._x import A as A`."""
    found: dict[str, str] = {}
    for module in reversed(MODULES):
        source = importlib.util.find_spec(module)
        if source is not None and source.origin is not None:
            tree = ast.parse(Path(source.origin).read_text("utf-8"))
            found |= {
                alias.name: module
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
                if alias.asname == alias.name
            }
    return found


def sections(reference: str) -> Iterator[Section]:
    """The headings of the reference that have names under them."""
    for part in re.split(r"^## ", reference, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        names = [found[1] for line in body.splitlines() if (found := ENTRY.match(line))]
        if names:
            yield Section(title.replace("`", ""), names)


def page_of(section: Section, values: dict[str, object]) -> str:
    """The source of one page."""
    known = [name for name in section.names if name in values]
    rule = "=" * len(section.title)
    return "\n\n".join(
        [f"{section.title}\n{rule}", *(_directive(name, values[name]) for name in known), ""]
    )


def _directive(name: str, value: object) -> str:
    full = f"{home(name)}.{name}"
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        options = list(_class_options(name, value))
    else:
        kind = "autofunction" if inspect.isfunction(value) else "autodata"
        options = [":no-value:"] if kind == "autodata" else list(_with(value))
    return "\n".join([f".. {kind}:: {full}", *map("   {}".format, options)])


def _with(function: object) -> Iterator[str]:
    """What is behind `as`, of a context manager: `async with open_queue(...) as queue`."""
    kind = {"AsyncGenerator": "async-with", "Generator": "with"}
    kind |= {"AsyncIterator": "async-with", "Iterator": "with"}
    returns = str(inspect.signature(function).return_annotation)  # type: ignore[arg-type]
    found = re.match(r"(?:.*\.)?(\w+)\[(?:.*?\.)?(\w+)\b", returns)
    if found and found[1] in kind and hasattr(function, "__wrapped__"):
        word = "" if found[2] == "None" else re.split(r"(?<=[a-z])(?=[A-Z])", found[2])[-1].lower()
        yield f":{kind[found[1]]}: {word}"


def _class_options(name: str, value: type) -> Iterator[str]:
    """In the order of the source: autodoc cannot find it, as names are known by their package.

    What a base has that is public itself stands there, and is not said again.
    """
    if shown_bases(value):
        yield ":show-inheritance:"
    if name.endswith("Broker") and name not in PROTOCOLS:
        return  # what such a class has beyond the protocol is its own affair
    known = set(map(id, public().values())) - {id(value)}
    bases = [
        base
        for base in reversed(value.__mro__)
        if base.__module__.startswith("trioqueue") and id(base) not in known
    ]
    members = {member: None for base in bases for member in vars(base)}
    shown = [member for member in members if not member.startswith("_")]
    if shown:
        yield f":members: {', '.join(shown)}"
    if hasattr(value, "__members__"):
        yield ":undoc-members:"


def shown_bases(value: type) -> list[type]:
    """The bases that mean something to a reader: public ones, and errors that others catch."""
    known = set(map(id, public().values()))
    errors = issubclass(value, BaseException)
    return [
        base
        for base in value.__bases__
        if id(base) in known
        or (errors and base.__module__ == "builtins" and base not in {Exception, BaseException})
    ]


# --- sphinx --------------------------------------------------------------------------------------


def write_pages(app: Sphinx) -> None:
    """Make `api/`; what has not changed is left alone, so that it is not built again."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    values = public()
    listed = list(sections(REFERENCE.read_text("utf-8")))
    pages = {f"{section.page}.rst": page_of(section, values) for section in listed}
    pages["index.rst"] = _index(listed)
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for name in sorted(set(values) - {name for section in listed for name in section.names}):
        logger.warning("%s is public and has no entry in reference.md", name)


def _index(listed: list[Section]) -> str:
    head = "Every docstring\n===============\n\n.. toctree::\n   :maxdepth: 1\n\n"
    return head + "".join(f"   {section.page}\n" for section in listed)


def skip(
    app: Sphinx, what: str, name: str, value: object, skipped: bool, options: object
) -> object:
    """Fields of named tuples have a docstring of Python's, which says nothing."""
    doc = getattr(value, "__doc__", None)
    return True if isinstance(doc, str) and doc.startswith("Alias for field") else None


def signature(
    app: Sphinx,
    what: str,
    name: str,
    value: object,
    options: dict[str, object],
    arguments: str | None,
    returns: str | None,
) -> tuple[str | None, str | None] | None:
    """Nothing for what only the library makes; no generators; defaults instead of constants."""
    if arguments is None:
        return None
    if inspect.isclass(value) and not _is_called(name, value):
        return "", None
    if {"with", "async-with"} & set(options):
        returns = None
    names = getattr(inspect.unwrap(value), "__globals__", {})  # type: ignore[arg-type]
    return re.sub(
        r"(?<== )[A-Z][A-Z_]+\b", lambda word: _default(word[0], names), arguments
    ), returns


def _is_called(name: str, value: type) -> bool:
    """Whether users make one: the reference shows a call then; a record shows its fields."""
    record = dataclasses.is_dataclass(value) or hasattr(value, "_fields")
    return record or f"- `{name.rpartition('.')[2]}(" in REFERENCE.read_text("utf-8")


def _default(word: str, names: dict[str, object]) -> str:
    value = names.get(word)
    if word == "UNSET":
        return "..."
    return repr(value) if isinstance(value, (int, float, str)) else word


def plain_bases(app: Sphinx, name: str, value: type, options: object, bases: list[type]) -> None:
    """Show the bases that are asked for, without their parameters."""
    bases[:] = shown_bases(value)


class Name(SphinxRole):
    """`name` in a docstring: code, linked if it is a public name or a member of this class."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Keep the class in which it stands; `link` does the rest."""
        owner = self.env.ref_context.get("py:class") or ""
        return [nodes.literal(self.rawtext, self.text, owner=owner)], []


def link(app: Sphinx, tree: nodes.document) -> None:
    """Let every mention of a public name lead to its docstring."""
    values = public()
    for node in list(tree.findall(nodes.literal)):
        if isinstance(node.parent, (nodes.reference, addnodes.pending_xref, nodes.title)):
            continue
        target = target_of(node.astext(), values, _owner(node), word="owner" in node)
        if target is not None:
            wanted = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, mention=True
            )
            wanted += node.deepcopy()
            node.replace_self(wanted)
    for annotation in list(tree.findall(addnodes.pending_xref)):
        module, _, name = str(annotation.get("reftarget", "")).rpartition(".")
        if module.startswith("trioqueue._") and name in values:  # where it is written
            annotation["reftarget"] = _full(name, values)
        elif not module and hasattr(builtins, name):  # or `type` would be our `.type`
            annotation.replace_self(nodes.Text(name))


def _owner(node: nodes.literal) -> str:
    """The class in whose docstring, or entry of the reference, it stands."""
    owner = str(node.get("owner", "")).rpartition(".")[2]
    if not node.astext().removeprefix("await ").startswith("."):
        return owner
    entry, at = None, node.parent
    while at is not None:
        entry, at = (at if isinstance(at, nodes.list_item) else entry), at.parent
    first = None if entry is None else next(iter(entry.findall(nodes.literal)), None)
    return owner if first is None else re.split(r"\W", first.astext())[0]


def target_of(
    text: str, values: dict[str, object], owner: str = "", *, word: bool = False
) -> str | None:
    """The full name of what is mentioned, or None.

    A bare word in lower case is a name only in a docstring (``word``), or as a call: `run` may
    be a command.
    """
    text = text.replace("current_task().", "CurrentTask.")
    if owner and (bare := text.removeprefix("await ")).startswith("."):
        return _member(owner, bare[1:].partition("(")[0], values)
    found = MENTION.fullmatch(text)
    if found is None:
        return None
    *front, last = found["path"].removeprefix("trioqueue.").split(".")
    if front:
        cls = front[-1] if inspect.isclass(values.get(front[-1])) else VARIABLES.get(front[-1], "")
        ours = front[-1] in {"observe", "testing", "web"}
        return _full(last, values) if ours else _member(cls, last, values)
    if owner and (inside := _member(owner, last, values)):
        return inside
    if word or found["call"] or not last.islower() or "_" in last:
        return _full(last, values)
    return None


def _full(name: str, values: dict[str, object]) -> str | None:
    return f"{home(name)}.{name}" if name in values else None


def _member(cls: str, name: str, values: dict[str, object]) -> str | None:
    value = values.get(cls)
    if not inspect.isclass(value) or name.startswith("_") or not hasattr(value, name):
        return None
    return f"{home(cls)}.{cls}.{name}"


def forgive(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """A mention without a docstring is code, and so are annotations that are not ours."""
    foreign = node.get("refdomain") == "py" and FOREIGN.search(node.get("reftarget", ""))
    return content if node.get("mention") or foreign else None


def all_there(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names without a docstring on a page."""
    known = env.domains["py"].data["objects"]
    for name in public():
        if f"{home(name)}.{name}" not in known:
            logger.warning("%s.%s is public and not on any page of api/", home(name), name)


def setup(app: Sphinx) -> dict[str, object]:
    """What Sphinx calls."""
    app.add_role("name", Name())
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-bases", plain_bases)
    app.connect("doctree-read", link)
    app.connect("missing-reference", forgive)
    app.connect("env-check-consistency", all_there)
    return {"parallel_read_safe": True}
