"""``trioqueue web``: the operator's page, served until it is stopped."""

from __future__ import annotations

import ipaddress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, final

import trio

from .. import TaskSet
from ..brokers._url import check_broker_url, open_broker_url
from ._broker import BrokerOption, broker_url
from ._errors import Wrong
from ._exits import OK
from ._load import load_tasks
from ._logs import log_to_stderr
from ._output import flush
from ._stop import HARD_LIMIT, Stop
from ._text import complain, say
from ._types import FLAG, within

if TYPE_CHECKING:
    from ..web import Auth

EPILOGUE: Final = """\
Examples:

  trioqueue web --broker sqlite:///jobs.db\n
  trioqueue web jobs:tasks --broker redis://localhost --port 9000\n
  TRIOQUEUE_WEB_AUTH=ann:secret trioqueue web --broker redis://redis --host 0.0.0.0

A page that others can reach needs --auth, --read-only, or --no-auth where something else lets only
operators through. Ctrl-C or SIGTERM stops it.

Exit codes: 0 stopped, 1 failed, 2 wrong arguments or module, 3 ended by force.\
"""

#: Seconds for requests under way, once it is stopped.
_GRACE: Final = 0.5


def web(
    tasks: str | None = None,
    /,
    *,
    broker: BrokerOption = None,
    host: str = "127.0.0.1",
    port: Annotated[int, within(0, 65_535)] = 8080,
    read_only: Annotated[bool, FLAG] = False,
    auth: str | None = None,
    auth_file: Path | None = None,
    no_auth: Annotated[bool, FLAG] = False,
    allow_host: Annotated[tuple[str, ...], FLAG] = (),
    title: str = "trioqueue",
) -> int:
    """Serve a page to look into a broker and to operate it.

    Parameters
    ----------
    tasks
        MODULE:TASKS, where the TaskSet is, to submit by form.
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    host
        The address to listen at; 0.0.0.0 is all of this machine's.
    port
        The port to listen at; 0 is any free one.
    read_only
        Nothing can be changed by the page.
    auth
        USER:PASSWORD. In TRIOQUEUE_WEB_AUTH nobody sees it in the list of processes.
    auth_file
        A file with USER:PASSWORD in its first line.
    no_auth
        Whoever reaches the page may operate it.
    allow_host
        A name under which the page may be asked for; may be given again for more.
    title
        What stands above the page.
    """
    url = broker_url(broker)
    check_broker_url(url)
    credentials = _credentials(auth, auth_file)
    policy = _Policy(host, credentials is not None, read_only=read_only, no_auth=no_auth)
    policy.check()
    hook = _hook(credentials, policy)
    task_set = None if tasks is None else load_tasks(tasks)
    log_to_stderr()
    stop = Stop(0.0, lambda: f"ended by force, {HARD_LIMIT:g} s after the stop")
    stop.begin()
    site = _Site(url, host, port, hook, task_set, read_only, allow_host, title)
    return trio.run(site.run, stop)


@final
class _Policy:
    """Who may do what: refused if it lets anybody operate by oversight."""

    def __init__(self, host: str, auth: bool, *, read_only: bool, no_auth: bool) -> None:
        self.host = host
        self.auth = auth
        self.read_only = read_only
        self.no_auth = no_auth

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        """Raise `Wrong`."""
        if self.auth and self.no_auth:
            raise Wrong("give --auth (or --auth-file) or --no-auth, not both")
        if not (self.local or self.auth or self.read_only or self.no_auth):
            msg = (
                f"--host {self.host} lets others reach the page: set TRIOQUEUE_WEB_AUTH="
                "USER:PASSWORD, or give --auth-file, --read-only, or --no-auth"
            )
            raise Wrong(msg)


def _credentials(auth: str | None, file: Path | None) -> tuple[str, str] | None:
    """User and password. No message has them in it."""
    if auth is not None and file is not None:
        raise Wrong("give --auth or --auth-file, not both")
    if file is not None:
        try:
            auth = file.read_text("utf-8").partition("\n")[0].removesuffix("\r")
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise Wrong(f"--auth-file {file} cannot be read: {why}") from None
    if auth is None:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise Wrong("--auth (TRIOQUEUE_WEB_AUTH) must be USER:PASSWORD, neither of them empty")
    return user, password


def _hook(credentials: tuple[str, str] | None, policy: _Policy) -> Auth | None:
    try:
        from ..web import basic_auth, everybody
    except ImportError as error:
        raise Wrong(str(error)) from None
    if credentials is not None:
        return basic_auth(*credentials)
    if policy.read_only:
        return None
    if not policy.local:
        complain(f"whoever reaches {policy.host} may operate the page (--no-auth)")
    return everybody


@final
class _Site:
    """The page of one broker at one address."""

    def __init__(
        self,
        url: str,
        host: str,
        port: int,
        auth: Auth | None,
        tasks: TaskSet | None,
        read_only: bool,
        hosts: tuple[str, ...],
        title: str,
    ) -> None:
        self._url = url
        self._address = (host, port)
        self._auth = auth
        self._tasks = tasks
        self._read_only = read_only
        self._hosts = hosts
        self._title = title

    async def run(self, stop: Stop) -> int:
        """Serve until stopped; a second request to stop cuts short what is under way."""
        with stop.requests() as requests:
            async with trio.open_nursery() as nursery:
                asked = trio.Event()
                nursery.start_soon(self._serve, asked, nursery.cancel_scope)
                async for request in requests:
                    if request.now:
                        nursery.cancel_scope.cancel(reason=request.why)
                    asked.set()
        return OK

    async def _serve(self, asked: trio.Event, all_of_it: trio.CancelScope) -> None:
        from ..web import open_app, serve

        async with (
            open_broker_url(self._url, create=False) as broker,
            open_app(
                broker,
                title=self._title,
                auth=self._auth,
                read_only=self._read_only,
                tasks=self._tasks,
                hosts=self._hosts,
            ) as page,
            trio.open_nursery() as nursery,
        ):
            stop = trio.Event()
            run = partial(serve, page, *self._address, stop=stop, graceful_timeout=_GRACE)
            urls: tuple[str, ...] = await nursery.start(run)
            say(*(f"The page is at {url} (Ctrl-C ends it)" for url in urls))
            flush()
            await asked.wait()
            page.end_streams()
            stop.set()
        all_of_it.cancel(reason="the page is served no more")
