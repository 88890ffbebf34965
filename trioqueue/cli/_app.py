"""The commands and their arguments, and the edge: what becomes of an error."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

import cyclopts
from cyclopts import App, Parameter
from cyclopts.validators import Number

from .. import TrioqueueError, __version__
from . import _check, _dead, _health, _publish, _queues, _run, _status, _tasks, _top, _web
from ._config import Configuration
from ._demo import Settings, run_demo
from ._errors import Wrong, fail, judge
from ._exits import OK, USAGE
from ._output import Console, flush
from ._text import say
from ._types import whole, within

_HELP: Final = """\
Every option is also a variable, TRIOQUEUE_COMMAND_OPTION, and a key of [tool.trioqueue.command] in\
 pyproject.toml; TRIOQUEUE_BROKER and TRIOQUEUE_TASKS are for all commands.

Exit codes: 0 done; 1 failed, refused or a problem was found; 2 wrong arguments or settings;\
 3 ended by force; 130, 143 interrupted, terminated; 141 nobody reads the output.\
"""

app = App(
    name="trioqueue",
    help="A task queue for structured concurrency, on Trio.",
    version=f"trioqueue {__version__}",
    help_format="plaintext",
    help_epilogue=_HELP,
    backend="trio",
    console=Console(),
)
app.config = (Configuration(app),)


cast("Any", app).register_install_completion_command(add_to_startup=True)  # partially typed
app.command(_run.run, help_epilogue=_run.EPILOGUE)
app.command(_publish.publish, help_epilogue=_publish.EPILOGUE)
app.command(_status.status)
app.command(_top.top, help_epilogue=_top.EPILOGUE)
app.command(_web.web, help_epilogue=_web.EPILOGUE)
app.command(_health.health, help_epilogue=_health.EPILOGUE)
app.command(_check.check, help_epilogue=_check.EPILOGUE)
app.command(_tasks.app)
app.command(_dead.app)
app.command(_queues.app)

_AT_LEAST_1 = within(1)
_WORKERS = within(1, 10_000)


@app.command(
    help_epilogue="""\
Examples:

  trioqueue demo 50 --workers 5\n
  trioqueue demo --failure-rate 0.8 --max-attempts 2 --seed 7\n
  TASKS=100000 trioqueue demo

Ctrl-C stops it: running tasks may finish, the others are handed back; once more cuts them short.\
"""
)
async def demo(
    tasks: Annotated[int, Parameter(env_var="TASKS"), _AT_LEAST_1] = 10,
    *,
    workers: Annotated[int, Parameter(env_var="WORKERS"), _WORKERS] = 3,
    max_attempts: Annotated[int, Parameter(env_var="MAX_ATTEMPTS"), _AT_LEAST_1] = 3,
    failure_rate: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.3,
    work: Annotated[float | None, Parameter(validator=Number(gte=0, lte=3600))] = None,
    seed: Annotated[int | None, Parameter(converter=whole)] = None,
) -> int:
    """Watch a queue at work: tasks are queued, worked, fail at random, are retried, and some die.

    Parameters
    ----------
    tasks
        How many tasks to submit.
    workers
        How many of them run at once.
    max_attempts
        Attempts before a failing task becomes a dead letter.
    failure_rate
        The chance that an attempt fails, from 0 to 1. A third of the failing tasks never recover.
    work
        Seconds that an attempt takes. Random unless given, and 0 above 1,000 tasks.
    seed
        Repeats a run: the same seed and settings bring the same failures.
    """
    if seed is None:
        seed = random.SystemRandom().randrange(100_000)
    return await run_demo(Settings(tasks, workers, max_attempts, failure_rate, seed, work))


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print what makes a shell complete this command, such as: source <(trioqueue completion bash)

    Parameters
    ----------
    shell
        Which shell. --install-completion puts it where the shell looks for it.
    """
    say(*app.generate_completion(shell=shell).splitlines())
    return OK


def run(arguments: Sequence[str]) -> int:
    """Run one command line. Returns the exit code; tells what went wrong in one line."""
    try:
        code: object = app(
            arguments,
            exit_on_error=False,
            print_error=False,
            verbose=False,
            result_action="return_value",
        )
        flush()  # now, while a failure can still be told
    except cyclopts.UnusedCliTokensError as error:
        return fail(USAGE, f"Unexpected arguments: {' '.join(error.unused_tokens or ())}.")
    except cyclopts.CycloptsError as error:
        return fail(USAGE, " ".join(str(error).split()))
    except (OSError, TrioqueueError, Wrong, BaseExceptionGroup) as error:
        return judge(error)
    return code if isinstance(code, int) else OK
