"""MODULE:TASKS: what is found, and the one line for each way in which it can be wrong."""

import sys
from pathlib import Path

import pytest

from trioqueue.cli._errors import Wrong
from trioqueue.cli._load import load_tasks


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are made in the current directory, and forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import trioqueue\n{text}", encoding="utf-8")


TASKS = """
tasks = trioqueue.TaskSet()
@tasks.task
async def ping(): ...
"""


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("made_jobs.py", "made_jobs:tasks"),
        ("made_package/__init__.py", "made_package:tasks"),
        ("made_package/deep/jobs.py", "made_package.deep.jobs:tasks"),
    ],
)
def test_the_current_directory_is_looked_into(file: str, target: str):
    """A module, a package, a module in packages: as ``python -m`` would find them."""
    write(file, TASKS)
    assert [task_type.name for task_type in load_tasks(target)] == ["ping"]


def test_the_current_directory_comes_first_and_once():
    """However often something is loaded, the path does not grow."""
    write("made_jobs.py", TASKS)
    load_tasks("made_jobs:tasks")
    before = list(sys.path)
    load_tasks("made_jobs:tasks")
    assert sys.path == before
    assert Path(before[0]).samefile(Path.cwd())


def test_a_task_set_may_be_an_attribute_of_something():
    """Dots after the colon, too."""
    write("made_jobs.py", f"{TASKS}\nclass app: queue = tasks")
    assert len(load_tasks("made_jobs:app.queue")) == 1


WRONG = {
    "jobs": ["MODULE:TASKS", "jobs:tasks", "'jobs'"],
    "": ["MODULE:TASKS"],
    ":": ["MODULE:TASKS"],
    ":tasks": ["MODULE:TASKS"],
    "made_jobs:": ["MODULE:TASKS"],
    "made_jobs:tasks()": ["MODULE:TASKS"],
    ".made_jobs:tasks": ["MODULE:TASKS"],
    "made_jobs:a:b": ["MODULE:TASKS"],
    "dir/made_jobs.py": ["write dir.made_jobs:tasks"],
    "made_jobs.py:tasks": ["write made_jobs:tasks"],
    "made_nothing:tasks": ["no module 'made_nothing'", "looked in"],
    "made_jobs.deeper:tasks": ["made_jobs"],
    "made_jobs:task": ["no 'task'", "made_jobs:tasks, made_jobs:more"],
    "made_jobs:tasks.more": ["no 'tasks.more'"],
    "made_jobs:number": ["no TaskSet but of type int", "made_jobs:tasks"],
    "made_jobs:more": ["no task in it"],
    "made_wrong:tasks": [
        "made_wrong cannot be imported",
        "ZeroDivisionError",
        "made_wrong.py, line 3",
    ],
    "made_syntax:tasks": ["made_syntax cannot be imported", "SyntaxError", "line 2"],
    "made_needy:tasks": ["made_needy cannot be imported", "made_missing", "made_needy.py, line 2"],
    "made_exit:tasks": ["made_exit cannot be imported", "SystemExit: 3"],
    "made_policy:tasks": [
        "made_policy cannot be imported",
        "InvalidTask",
        "timeout",
        "policy.py, line 3)",
    ],
    "made_lines:tasks": ["ValueError: two lines"],
}


@pytest.mark.parametrize("target", WRONG)
def test_what_is_wrong_is_one_line_that_helps(target: str):
    """What was looked for, where, what there is instead; the line of the user's code, if it is."""
    write("made_jobs.py", f"{TASKS}\nmore = trioqueue.TaskSet()\nnumber = 1")
    write("made_wrong.py", "\n1 / 0")
    write("made_syntax.py", "this is no Python")
    write("made_needy.py", "import made_missing")
    write("made_exit.py", "raise SystemExit(3)")
    write("made_policy.py", "tasks = trioqueue.TaskSet()\ntasks.task(timeout=-1)(len)")
    write("made_lines.py", "raise ValueError('two\\nlines')")
    with pytest.raises(Wrong) as raised:
        load_tasks(target)
    message = str(raised.value)
    for words in WRONG[target]:
        assert words in message
    assert "\n" not in message


def test_a_ctrl_c_during_the_import_is_none_of_these():
    """It goes on as what it is."""
    write("made_jobs.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_tasks("made_jobs:tasks")
