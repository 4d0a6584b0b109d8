"""`notify` and `metrics` as cron and a monitoring host see them."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib import resources
from subprocess import CompletedProcess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from desbuquei_backups.operations.settings import DATABASE_URL, S3_URL
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.sinks import HttpSink, http_sink

Run = Callable[..., CompletedProcess[str]]
_PROGRAM = "import sys; from desbuquei_backups.cli.main import main; sys.exit(main())"


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Settings of a host whose database and store are down: none of this needs more."""
    (tmp_path / "backups").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DESBUQUEI_BACKUP_DIR": str(tmp_path / "backups"),
        DATABASE_URL: f"postgresql://backup:t0ps3cret@127.0.0.1:{free_port()}/app",
        S3_URL: "s3://backups",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "t0ps3cret",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def run(environment, tmp_path) -> Run:
    def desbuquei(*arguments: str, **more: str) -> CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments],
            env={**environment, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "t0ps3cret" not in done.stdout + done.stderr
        return done

    return desbuquei


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as running:
        yield running


def test_a_test_message_says_by_its_kind_which_sink_took_it(run, sink) -> None:
    urls = f"{sink.url}\n  json://u:t0ps3cret@127.0.0.1:{free_port()}/ nonsense://t0ps3cret"
    done = run("notify", "--test", "--json", DESBUQUEI_NOTIFY_URLS=urls)
    assert done.returncode == 1
    assert [(each["sink"], each["taken"]) for each in json.loads(done.stdout)["sinks"]] == [
        ("1: json", True),
        ("2: json", False),
        ("3: nonsense", False),
    ]
    (message,) = sink.take()
    assert message["title"] == "[desbuquei desbuquei] a test"
    assert run("notify", "--test", DESBUQUEI_NOTIFY_URLS=sink.url).returncode == 0


def test_cron_tells_once_what_is_wrong_though_dagster_is_down(run, sink) -> None:
    first = run("notify", "--json", DESBUQUEI_NOTIFY_URLS=sink.url)
    assert first.returncode == 0, first.stdout
    found = json.loads(first.stdout)
    assert {each["name"] for each in found["conditions"]} == {"database_unreachable", "bucket_unreachable"}
    assert {each["change"] for each in found["told"][0]["changes"]} == {"begun"}
    assert "t0ps3cret" not in str(sink.take())
    second = run("notify", DESBUQUEI_NOTIFY_URLS=sink.url)
    assert "Nothing is new: nobody was told anything." in second.stdout
    assert sink.take() == []
    sink.status = 500
    shown = run("notify", "--dry-run", DESBUQUEI_NOTIFY_URLS=sink.url)
    assert (shown.returncode, shown.stdout.count("to do: ")) == (0, 2)


def test_a_sink_that_takes_nothing_fails_a_script_and_one_that_is_not_set_is_a_missing_setting(run, sink) -> None:
    sink.status = 500
    done = run("notify", "--json", DESBUQUEI_NOTIFY_URLS=sink.url)
    assert done.returncode == 1
    assert [each["sink"] for each in json.loads(done.stdout)["failed"]] == ["1: json"]
    nobody = run("notify", "--json")
    assert nobody.returncode == 2
    assert "DESBUQUEI_NOTIFY_URLS is not set" in json.loads(nobody.stdout)["what"]


def test_a_database_whose_settings_are_wrong_takes_no_other_ones_metrics_away(run, tmp_path) -> None:
    packaged = (resources.files("desbuquei_backups.core") / "policy.toml").read_text()
    (tmp_path / "policy.toml").write_text(packaged + "\n[databases.shop]\n")
    of_both = {"DESBUQUEI_POLICY": "policy.toml", "DESBUQUEI_SHOP_INVARIANTS": "/nowhere/invariants.toml"}
    printed = run("metrics", **of_both)
    assert printed.returncode == 0, printed.stderr
    assert 'desbuquei_up{database="desbuquei"' in printed.stdout
    assert "shop has no metrics: " in printed.stderr


def test_metrics_are_printed_written_and_served(run, environment, tmp_path) -> None:
    printed = run("metrics")
    assert printed.returncode == 0, printed.stderr
    found = {each.name: each.samples for each in text_string_to_metric_families(printed.stdout)}
    assert {sample.value for sample in found["desbuquei_up"]} == {0.0}
    assert run("metrics", "--textfile", "node.prom").returncode == 0
    assert "desbuquei_up" in (tmp_path / "node.prom").read_text()
    assert run("metrics", "--textfile", "node.txt").returncode == 2
    assert run("metrics", "--serve", "all").returncode == 2
    serving = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "metrics", "--serve", "0"],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with serving:
        assert serving.stderr is not None
        port = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", serving.stderr.readline())
        assert port is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics") as answer:
            assert b"desbuquei_up" in answer.read()
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0
