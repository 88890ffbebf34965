"""The Dockerfile and compose.yaml: what an engine would refuse, and what we promise of them.

No engine is needed for this, and none is asked: `test_containers_run` runs their commands.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from trioqueue.cli import _probe
from trioqueue.cli._app import app
from trioqueue.cli._stop import HARD_LIMIT

from .containers import (
    CONDITIONS,
    HEALTH_KEYS,
    ROOT,
    SERVICE_KEYS,
    Compose,
    Instruction,
    ignored,
    interpolate,
    option,
    read_dockerfile,
    seconds,
)

STAGES = read_dockerfile((ROOT / "Dockerfile").read_text())
IMAGE = STAGES[-1]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line and not line.startswith("#")
]
COMPOSE = Compose((ROOT / "compose.yaml").read_text(), {"TRIOQUEUE_WEB_AUTH": "ann:secret"})
SERVICES = COMPOSE.services
OURS = [name for name, service in SERVICES.items() if "build" in service]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())


def images() -> list[str]:
    built = {stage.name for stage in STAGES}
    bases = [stage.base for stage in STAGES if stage.base not in built]
    return sorted(
        {*bases, *(service["image"] for service in SERVICES.values() if "build" not in service)}
    )


# --- the image -----------------------------------------------------------------------------------


@pytest.mark.parametrize("image", images())
def test_images_are_pinned(image: str):
    """By a whole version: the same files make the same containers next year."""
    tag = image.rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+(-|$)", tag), image


def test_what_is_copied_is_there_and_in_the_context():
    """And nothing else is in the context: no secret, no history, no environment."""
    sources: set[str] = set()
    for stage in STAGES:
        for copy in stage.all("COPY"):
            *paths, _ = copy.words()
            if "from" in copy.flags:
                assert copy.flags["from"] in {other.name for other in STAGES}
                continue
            sources.update(paths)
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source, IGNORED), f"{source} is in .dockerignore"
    for other in (".git/config", ".venv/bin/python", ".env", "tests/conftest.py", "deploy/x.env"):
        assert ignored(other, IGNORED), other
    assert ignored("trioqueue/cli/__pycache__/_app.cpython-313.pyc", IGNORED)
    assert not ignored("trioqueue/brokers/_redis_lua/claim.lua", IGNORED)


def test_what_the_build_reads_is_copied():
    """Of the files that pyproject.toml names, and of all that is in the package."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    wanted.update(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = {word for copy in STAGES[0].all("COPY") for word in copy.words()[:-1]}
    assert wanted == copied


def test_it_does_not_run_as_root():
    """By number, so that Kubernetes' runAsNonRoot can tell."""
    user, _, group = IMAGE.last("USER").text.partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    after = [
        each.name for each in IMAGE.instructions[IMAGE.instructions.index(IMAGE.last("USER")) :]
    ]
    assert not {"RUN", "COPY", "ADD"} & set(after)
    assert any(f"--uid {user}" in run.text for run in IMAGE.all("RUN"))


def test_it_is_started_stopped_and_asked_without_a_shell():
    """A shell would get the signal, and have to be there."""
    assert IMAGE.last("ENTRYPOINT").exec_form() == ["trioqueue"]
    assert IMAGE.last("CMD").exec_form()[0] == "run"
    assert IMAGE.last("STOPSIGNAL").text == "SIGTERM"
    flags, command = IMAGE.health()
    assert command == ["trioqueue", "health"]
    assert seconds(flags["timeout"]) > _probe.TIMEOUT


def test_the_health_check_asks_where_the_command_listens():
    """The port of its default URL is the one that CMD names and that is exposed."""
    listening = option(IMAGE.last("CMD").words(), "--listen")
    assert listening == f"0.0.0.0:{_probe.parse_url(_probe.URL).port}"
    assert listening.rpartition(":")[2] in IMAGE.last("EXPOSE").words()


def test_nothing_is_kept_of_the_build():
    """No cache of pip, and the wheels stay in the first stage."""
    for stage in STAGES:
        for run in stage.all("RUN"):
            for command in re.findall(r"pip (?:install|wheel) [^&]*", run.text):
                assert "--no-cache-dir" in command
    assert not [run for run in IMAGE.all("RUN") if "pip" in run.text]


def test_its_root_may_be_read_only():
    """Python would write beside the code, and wait with what it says."""
    assert (
        IMAGE.environment().items()
        >= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}.items()
    )


def test_its_labels_are_those_of_oci():
    """Title, description and licence."""
    labels = [word.partition("=")[0] for word in IMAGE.last("LABEL").words()]
    assert labels
    assert all(label.startswith("org.opencontainers.image.") for label in labels)


# --- the services --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_only_what_compose_knows(name: str):
    """Keys, conditions, volumes, sources of mounts, names of services."""
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert set(service.get("healthcheck", {})) <= HEALTH_KEYS
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] in CONDITIONS
        if how["condition"] == "service_healthy":
            assert health(other) is not None, f"{other} has no health check"
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        assert mode in ([], ["ro"])
        if source.startswith("."):
            assert (ROOT / source).is_file()
        else:
            assert source in COMPOSE.raw["volumes"]


def health(name: str) -> list[str] | None:
    """The command that asks whether a service is well."""
    check = SERVICES[name].get("healthcheck")
    if check is None:
        return IMAGE.health()[1] if name in OURS else None
    if check.get("disable"):
        return None
    assert check["test"][0] == "CMD"
    for key in ("interval", "timeout", "start_period"):
        assert seconds(check[key]) > 0
    command: list[str] = check["test"][1:]
    return command


@pytest.mark.parametrize("name", OURS)
def test_ours_have_no_rights(name: str):
    """Nothing to write to but /tmp, no capability, no way to more."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_the_time_to_stop_is_longer_than_it_takes(name: str):
    """The grace, and what comes after it until the end by force."""
    command = SERVICES[name].get("command", [])
    grace = float(option(command, "--grace")) if "--grace" in command else 0.0
    assert seconds(SERVICES[name]["stop_grace_period"]) > grace + HARD_LIMIT


@pytest.mark.parametrize("name", [name for name in OURS if "command" in SERVICES[name]])
def test_the_commands_are_commands_of_ours(name: str):
    """As the parser has it: every option is there, every value can be."""
    app.parse_args(SERVICES[name]["command"], exit_on_error=False, print_error=False)


def test_ports_match():
    """What is published, exposed, asked and scraped is where it is listened at."""
    listening = option(SERVICES["worker"]["command"], "--listen").rpartition(":")[2]
    assert SERVICES["worker"]["expose"] == [listening]
    assert _probe.parse_url(_probe.URL).port == int(listening)
    (scraped,) = PROMETHEUS["scrape_configs"][0]["dns_sd_configs"]
    assert (scraped["names"], scraped["port"]) == (["worker"], int(listening))
    port = option(SERVICES["web"]["command"], "--port")
    assert SERVICES["web"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    asked = health("web")
    assert asked is not None
    assert _probe.parse_url(option(asked, "--url")).port == int(port)
    assert {listening, port} == set(IMAGE.last("EXPOSE").words())


def test_what_is_published_is_for_this_machine_alone():
    """A page with a password in clear text belongs behind something that speaks TLS."""
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_page_is_not_started_without_a_password():
    """And there is none in the file."""
    with pytest.raises(KeyError, match="must be USER:PASSWORD"):
        Compose((ROOT / "compose.yaml").read_text(), {})
    assert COMPOSE.environment("web")["TRIOQUEUE_WEB_AUTH"] == "ann:secret"


def test_the_server_keeps_what_it_was_given():
    """An append-only file, on a volume, and nothing is thrown out for want of memory."""
    server = SERVICES["redis"]
    assert option(server["command"], "--appendonly") == "yes"
    assert option(server["command"], "--maxmemory-policy") == "noeviction"
    assert server["volumes"] == ["redis:/data"]


def test_prometheus_reads_the_files_that_are_mounted():
    """The configuration, and the rules that it names."""
    service = SERVICES["prometheus"]
    mounted = dict(volume.split(":")[1::-1] for volume in service["volumes"])
    config = service["command"][0].removeprefix("--config.file=")
    assert mounted[config] == "./deploy/prometheus.yml"
    for rules in PROMETHEUS["rule_files"]:
        assert mounted[str(Path(config).parent / rules)] == f"./deploy/{rules}"


# --- the page of the documentation ---------------------------------------------------------------

PAGE = (ROOT / "docs" / "deploying.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no block in {language}"
    return found


def test_the_deployment_for_kubernetes_is_as_careful():
    """Its command is one, its ports match, and its time to stop is long enough."""
    (text,) = blocks("yaml")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    app.parse_args(container["args"], exit_on_error=False, print_error=False)
    grace = float(option(container["args"], "--grace"))
    assert pod["terminationGracePeriodSeconds"] > grace + HARD_LIMIT
    (port,) = container["ports"]
    assert option(container["args"], "--listen") == f"0.0.0.0:{port['containerPort']}"
    probes = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert probes["livenessProbe"]["path"] == probes["startupProbe"]["path"] == "/health/live"
    assert probes["readinessProbe"]["path"] == "/health/ready"
    assert pod["securityContext"]["runAsUser"] == int(IMAGE.last("USER").text.partition(":")[0])


def test_the_unit_for_systemd_gives_it_time():
    """The grace, and the end by force."""
    (unit,) = blocks("ini")
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    words = start.split()[1:]
    app.parse_args(words, exit_on_error=False, print_error=False)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > float(option(words, "--grace")) + HARD_LIMIT


def test_the_example_of_an_image_of_ones_own_is_one():
    """On top of ours, whose entrypoint, user and health check it keeps."""
    (text,) = blocks("dockerfile")
    (stage,) = read_dockerfile(text)
    assert stage.base == SERVICES["worker"]["image"]
    app.parse_args(stage.last("CMD").exec_form(), exit_on_error=False, print_error=False)


@pytest.mark.system
def test_promtool_accepts_the_configuration():
    """With the rules that it names."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: it comes with Debian's package prometheus"
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=ROOT / "deploy",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- the readers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "RUN x\nFROM y", "FROM x\nSTART y", "FROM x\nRUN", "FROM x y", "FROM x\nRUN a \\\n"],
)
def test_what_is_no_dockerfile_is_refused(text: str):
    """So that the tests above mean something."""
    with pytest.raises(AssertionError):
        read_dockerfile(text)


def test_a_dockerfile_is_read_as_it_is_meant():
    """Comments between, lines that go on, flags, stages."""
    text = (
        "# c\nFROM a AS b\nRUN one \\\n# c\n  two\n"
        'FROM c\nCOPY --from=b --chown=1:1 /x /y\nCMD ["a", "b c"]\n'
    )
    first, second = read_dockerfile(text)
    assert (first.base, first.name, second.base, second.name) == ("a", "b", "c", None)
    assert first.instructions == [Instruction("RUN", {}, "one two")]
    assert second.instructions[0] == Instruction("COPY", {"from": "b", "chown": "1:1"}, "/x /y")
    assert second.last("CMD").exec_form() == ["a", "b c"]
    with pytest.raises(AssertionError, match="exec form"):
        Instruction("CMD", {}, "a b").exec_form()


def test_a_key_that_is_there_twice_is_refused():
    """As by Compose; YAML's loader takes the last one."""
    with pytest.raises(AssertionError, match="twice"):
        Compose("services:\n  a: {image: x, image: y}\n", {})


@pytest.mark.parametrize("text", ["$NAME", "${NAME:-x}", "$$"])
def test_variables_that_are_not_understood_are_refused(text: str):
    """None of ours is passed over."""
    with pytest.raises(AssertionError):
        interpolate({"a": [text]}, {"NAME": "x"})


@pytest.mark.parametrize(("text", "number"), [("35s", 35), ("1m", 60), ("1m30s", 90)])
def test_durations(text: str, number: float):
    """As Compose writes them."""
    assert seconds(text) == number
