"""The commands of compose.yaml and of the Dockerfile, run as processes of this machine.

What an engine would do is done by hand: entrypoint and command put together, the image's variables
and the service's own, the working directory with what is copied into it, names of services and
ports mapped to free ports, health checks asked until they are well, SIGTERM, and the time to stop.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .command import MODULE, PATIENCE, environment, run
from .containers import ROOT, option, seconds
from .redis_program import free_port
from .redis_server import Server
from .test_containers import COMPOSE, IMAGE, PROMETHEUS, SERVICES, health

pytestmark = pytest.mark.network  # six processes, and what they wait for

#: What stands for a program that the images have.
PROGRAMS = {"trioqueue": MODULE, "python": (sys.executable,)}


class Container:
    """One replica of a service, as a process."""

    def __init__(self, name: str, directory: Path, ports: dict[str, int]) -> None:
        self.name = name
        self.service = SERVICES[name]
        self.directory = directory
        self.ports = ports  # of this container: those that it listens at
        self.log = directory.parent / f"{name}-{id(self)}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def words(self, command: list[str]) -> list[str]:
        """A command line, with the ports that stand for those of the container."""
        program, *arguments = command
        mapped = [self._map(word) for word in arguments]
        return [*PROGRAMS[program], *mapped]

    def _map(self, text: str) -> str:
        for port, ours in self.ports.items():
            text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{ours}")
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ours}")
            text = str(ours) if text == port else text
        return text

    def variables(self) -> dict[str, str]:
        image = {name: value for name, value in IMAGE.environment().items() if name != "PATH"}
        of_service = COMPOSE.environment(self.name)
        server = f"127.0.0.1:{self.ports['redis']}"
        of_service["TRIOQUEUE_BROKER"] = of_service["TRIOQUEUE_BROKER"].replace(
            "redis:6379", server
        )
        return environment(**image, **of_service)

    def start(self) -> None:
        """As an engine does: the service's entrypoint and command take the place of the image's."""
        entrypoint = self.service.get("entrypoint")
        command = self.service.get("command", [] if entrypoint else IMAGE.last("CMD").exec_form())
        whole = self.words([*(entrypoint or IMAGE.last("ENTRYPOINT").exec_form()), *command])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                whole,
                env=self.variables(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def until_healthy(self) -> None:
        """Ask as often as it takes."""
        command = health(self.name)
        assert command is not None
        if self.name == "worker":  # its check asks the port of the image by default
            port = self.ports["9100"]
            command = [*command, "--url", f"http://127.0.0.1:{port}/health/ready"]
        end = time.monotonic() + PATIENCE
        while (done := self._ask(command)).returncode != 0:
            assert time.monotonic() < end, done.stderr
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
        assert done.stdout.startswith("ok: ")

    def is_healthy(self) -> bool:
        command = health(self.name)
        assert command is not None
        return self._ask(command).returncode == 0

    def _ask(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(command),
            env=self.variables(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def stop(self) -> tuple[int, float]:
        """The image's stop signal; the exit code, and the seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(getattr(signal, IMAGE.last("STOPSIGNAL").text))
        return self.process.wait(PATIENCE), time.monotonic() - began

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Stack:
    """All services of ours, and the server that they share."""

    def __init__(self, directory: Path, server: Server) -> None:
        self.server = server
        workers = [
            Container("worker", directory, {"redis": server.port, "9100": free_port()})
            for _ in range(SERVICES["worker"]["deploy"]["replicas"])
        ]
        self.workers = workers
        self.web = Container("web", directory, {"redis": server.port, "8080": free_port()})
        self.producer = Container("producer", directory, {"redis": server.port})
        self.all = [*workers, self.web, self.producer]

    def counts(self) -> dict[str, int]:
        done = run("status", "--json", TRIOQUEUE_BROKER=f"redis://127.0.0.1:{self.server.port}/0")
        assert done.returncode == 0, done.stderr
        counts: dict[str, int] = json.loads(done.stdout)["counts"]
        return counts


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything started, in the order of depends_on."""
    directory = tmp_path_factory.mktemp("containers") / "app"
    directory.mkdir()
    for copy in IMAGE.all("COPY"):
        if "from" not in copy.flags:
            source, target = copy.words()
            (directory / target).write_bytes((ROOT / source).read_bytes())
    # Whoever runs the tests may be root: what is written there is seen by what there is afterwards.
    directory.chmod(0o555)
    words = SERVICES["redis"]["command"][1:]
    options = {words[n].removeprefix("--"): words[n + 1] for n in range(0, len(words), 2)}
    with ExitStack() as closing:
        server = closing.enter_context(Server(**options))
        made = Stack(directory, server)
        for container in made.all:
            closing.callback(container.kill)
            container.start()
        for container in (*made.workers, made.web):
            container.until_healthy()
        yield made


def get(url: str, *, user: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url)
    if user is not None:
        request.add_header("Authorization", f"Basic {b64encode(user.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_producers_tasks_are_worked(stack: Stack):
    """By the workers, on the server that has what compose.yaml gives it."""
    end = time.monotonic() + PATIENCE
    while stack.counts()["succeeded"] < 2:
        assert time.monotonic() < end, stack.producer.log.read_text()
    assert stack.server.call("CONFIG", "GET", "appendonly")[1] == b"yes"
    assert stack.server.call("PING") == b"PONG"  # what its health check asks


def test_the_page_answers_whoever_has_the_password(stack: Stack):
    """And nobody else, but the health check."""
    url = f"http://127.0.0.1:{stack.web.ports['8080']}"
    user = COMPOSE.environment("web")["TRIOQUEUE_WEB_AUTH"]
    status, page = get(f"{url}/", user=user)
    assert status == 200
    assert "<title>" in page
    status, overview = get(f"{url}/api/overview", user=user)
    assert status == 200
    assert json.loads(overview)["workers"]["live"] == len(stack.workers)
    assert get(f"{url}/api/overview")[0] == 401
    assert get(f"{url}/api/overview", user="ann:wrong")[0] == 401


def test_every_worker_is_scraped(stack: Stack):
    """At the path and the port that Prometheus is told of."""
    job = PROMETHEUS["scrape_configs"][0]
    path, port = job.get("metrics_path", "/metrics"), str(job["dns_sd_configs"][0]["port"])
    assert port == option(SERVICES["worker"]["command"], "--listen").rpartition(":")[2]
    for worker in stack.workers:
        status, text = get(f"http://127.0.0.1:{worker.ports[port]}{path}")
        assert status == 200
        assert "# TYPE trioqueue_" in text


def test_a_process_that_is_well_is_not_one_of_whom_nothing_is_known(stack: Stack):
    """The other check: by the broker, and this host."""
    url = f"redis://127.0.0.1:{stack.server.port}/0"
    done = run("health", "--here", "--broker", url, "--timeout", "60")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"ok: {len(stack.workers)} live on ")


def test_each_ends_in_its_time_and_nothing_is_lost(stack: Stack):
    """SIGTERM, as an engine sends it: exit code 0, and every task is somewhere."""
    for container in (stack.producer, *stack.workers, stack.web):
        code, took = container.stop()
        assert code == 0, container.log.read_text()
        assert took < seconds(container.service["stop_grace_period"])
    assert not stack.web.is_healthy()
    counts = stack.counts()
    assert counts["running"] == 0
    assert counts["submitted"] == sum(
        counts[place] for place in ("scheduled", "ready", "succeeded", "dead")
    )
    assert sorted(os.listdir(stack.web.directory)) == ["jobs.py"]  # nothing was written there
