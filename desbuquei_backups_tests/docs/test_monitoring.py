"""The dashboard and the alert rules: a name that is no metric is an empty panel, and an alert that never comes."""

import json
import re
from pathlib import Path

import yaml

from desbuquei_backups.core.metric_names import KINDS

_DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
_NAME = re.compile(r"desbuquei_[a-z0-9_]+")
_LABEL = re.compile(r"\$labels\.([a-z]+)|\{\{([a-z]+)\}\}")
_GIVEN_BY_PROMETHEUS = {"instance", "job"}


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load((_DOCS / "prometheus-rules.yml").read_text())["groups"]
    found: list[dict[str, object]] = group["rules"]
    return found


def metrics_in(text: object) -> set[str]:
    found = set(_NAME.findall(str(text)))
    assert found, text
    return found


def test_every_rule_speaks_of_metrics_and_labels_that_there_are_and_says_what_to_do() -> None:
    for rule in rules():
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        names = metrics_in(rule["expr"])
        assert names <= KINDS.keys(), rule["alert"]
        labels = {a or b for a, b in _LABEL.findall(f"{rule['annotations']} {rule['labels']}")}
        assert labels <= {label for name in names for label in KINDS[name].labels}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "to_do"}  # type: ignore[attr-defined]


def test_every_panel_draws_metrics_and_labels_that_there_are() -> None:
    board = json.loads((_DOCS / "grafana.json").read_text())
    drawn: set[str] = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            names = metrics_in(target["expr"])
            assert names <= KINDS.keys(), panel["title"]
            labels = {b for _, b in _LABEL.findall(target["legendFormat"])}
            assert labels <= {label for name in names for label in KINDS[name].labels}, panel["title"]
            drawn |= names
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(drawn) > 15


def test_every_metric_is_in_the_documentation() -> None:
    text = (_DOCS.parent / "monitoring.md").read_text()
    assert KINDS.keys() <= set(_NAME.findall(text))
