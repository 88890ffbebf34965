"""Dashboard and alerts speak of metrics that there are, with labels that these have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from prometheus_client.parser import text_string_to_metric_families

import trioqueue
from trioqueue import Event, Outcome, OutcomeKind, TaskSet
from trioqueue.observe import Metrics
from trioqueue.observe._metrics_names import SEEN

DEPLOY = Path(__file__).parent.parent / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))

#: A metric or a recorded series, and the labels that are asked for, if any.
SELECTOR = re.compile(r"\b(trioqueue[_:][a-z0-9_:]+)\s*(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
#: What Prometheus adds to each series, and what a histogram adds to its buckets.
EVERYWHERE = {"job", "instance", "le"}


async def exposition() -> str:
    """What a queue with a capacity, a worker and a task shows, by way of a real queue."""
    metrics = Metrics()
    tasks = TaskSet()

    @tasks.task
    async def work() -> None: ...

    async with trioqueue.open_queue(tasks, observers=[metrics]) as queue:
        await (await queue.submit(work)).wait()
        await metrics.look(queue.inspector)
    outcome = Outcome(OutcomeKind.ERROR, None, 0.1)
    metrics(Event("died", 1.0, "t", "work", "default", 1, 1, None, outcome))
    return metrics.render()[0].decode()


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, set[str]]]:
    """Series -> label -> its values."""
    series: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(trio.run(exposition)):
        for sample in family.samples:
            labels = series.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return series


def rules() -> Iterator[dict[str, Any]]:
    for group in ALERTS["groups"]:
        yield from group["rules"]


def panels_targets() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


QUERIES = [variable["definition"] for variable in DASHBOARD["templating"]["list"][1:]]
EXPRESSIONS = [
    *(rule["expr"] for rule in rules()),
    *(expression for _, expression in panels_targets()),
    *(query.replace("label_values(", "").rstrip(")").rpartition(",")[0] for query in QUERIES),
]
#: What must stand before a metric that is the same from every process.
MAXIMUM = re.compile(r"\bmax(?: by \([^)]*\))? ?\((?:(?:rate|increase)\()?$")
RECORDED = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def labels_of(name: str, shown: dict[str, dict[str, set[str]]]) -> set[str]:
    """The labels of a series; those of a recorded one are what it groups by."""
    if name not in RECORDED:
        return set(shown[name]) | EVERYWHERE
    grouped = GROUPING.search(RECORDED[name])
    if grouped:
        return {label.strip() for label in grouped[1].split(",")}
    (first, *_) = SELECTOR.findall(RECORDED[name])
    return labels_of(first[0], shown)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_an_expression_is_about_what_there_is(
    expression: str, shown: dict[str, dict[str, set[str]]]
):
    """Its metrics, their labels, the values of these labels, and what it groups by."""
    found = SELECTOR.findall(expression)
    assert found
    for name, matchers in found:
        assert name in shown or name in RECORDED, name
        for label, values in LABEL.findall(matchers):
            assert label in labels_of(name, shown), (name, label)
            if "$" not in values and label in {"move", "kind", "reason", "state"}:
                there = shown.get(name, {}).get(label)
                there = values_of(name, label, shown) if there is None else there
                assert set(values.split("|")) <= there, (name, label)
    known = set().union(*(labels_of(name, shown) for name, _ in found))
    for grouping in GROUPING.findall(expression):
        assert {label.strip() for label in grouping.split(",")} <= known


def values_of(name: str, label: str, shown: dict[str, dict[str, set[str]]]) -> set[str]:
    """The values of a label of a recorded series: those of what it is recorded from."""
    (first, *_) = SELECTOR.findall(RECORDED[name])
    return shown[first[0]][label]


def test_what_the_broker_shows_is_never_summed_over_processes():
    """Each process shows the same: a sum would be a multiple of it."""
    checked = 0
    for expression in EXPRESSIONS:
        for name in SEEN:
            for found in re.finditer(rf"trioqueue_{name}(?:_total)?\b", expression):
                assert MAXIMUM.search(expression[: found.start()]), expression
                checked += 1
    assert checked > 20


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 9
    for alert in alerts:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"]["summary"].endswith((".", "full."))
        assert alert["annotations"]["description"]


def test_the_dashboard_can_be_imported():
    """A data source to choose, panels that do not overlap, ids and reference names of their own."""
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    assert [panel["id"] for panel in DASHBOARD["panels"]] == list(
        range(1, len(DASHBOARD["panels"]) + 1)
    )
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


# --- by Prometheus' own tool ----------------------------------------------------------------------


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program, "promtool is missing: apt-get install prometheus"
    return subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, check=False, timeout=60
    )


def fine(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.system
def test_promtool_finds_nothing_wrong_with_the_rules():
    fine(promtool("check", "rules", str(DEPLOY / "alerts.yml")))


@pytest.mark.system
def test_the_alerts_fire_when_they_should():
    """And not otherwise: deploy/alerts_test.yml."""
    fine(promtool("test", "rules", str(DEPLOY / "alerts_test.yml")))


@pytest.mark.system
def test_promtool_finds_nothing_wrong_with_the_metrics():
    """Names, units, types and help texts by Prometheus' conventions."""
    done = promtool("check", "metrics", text=trio.run(exposition))
    fine(done)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.system
def test_promtool_can_read_the_panels(tmp_path: Path):
    """Each expression as a rule, once Grafana has put in what it knows."""
    rules_: list[dict[str, str]] = []
    for number, (_, expression) in enumerate(panels_targets()):
        parsed = expression.replace("$__rate_interval", "5m")
        for name in ("job", "queue", "type"):
            parsed = parsed.replace(f"${name}", ".*")
        rules_.append({"record": f"panel_{number}", "expr": parsed})
    document = yaml.safe_dump({"groups": [{"name": "panels", "rules": rules_}]})
    (tmp_path / "rules.yml").write_text(document, "utf-8")
    fine(promtool("check", "rules", str(tmp_path / "rules.yml")))
