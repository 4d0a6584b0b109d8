"""Metrics: what a monitoring host sees of backups that go well, of an outage, and of a folder that is gone."""

import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from desbuquei_backups.core.metric_names import KINDS
from desbuquei_backups.operations import last_verdicts
from desbuquei_backups.operations.alerts import alert_now
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.exposition import Served, text, write_textfile
from desbuquei_backups.operations.measuring import samples
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.fakes import free_port

Values = dict[tuple[str, ...], float]


def parsed(content: bytes) -> Values:
    """Values by name and labels, the database left out; each is a metric that is declared, with its help."""
    found: Values = {}
    for family in text_string_to_metric_families(content.decode()):
        assert family.type == "gauge"
        assert family.documentation == KINDS[family.name].said
        for sample in family.samples:
            assert sample.labels.keys() == set(KINDS[family.name].labels)
            labels = [value for label, value in sorted(sample.labels.items()) if label != "database"]
            found[(sample.name.removeprefix("desbuquei_"), *labels)] = sample.value
    return found


def metrics(site: Site) -> Values:
    return parsed(text(lambda: [("desbuquei", samples(site))]))


def test_a_backup_is_seen_with_its_age_size_stages_and_checks(sample_site, slot, clock) -> None:
    take_dump(sample_site, slot)
    manifest = seal(sample_site, slot).manifest
    archive(sample_site, slot)
    of = {"check": "content_matches", "verdict": "matches", "summary": "41 match"}
    last_verdicts.remember(sample_site, "daily/restored_copy", slot.backup_id, [of])
    alert_now(sample_site)
    clock.pass_by(minutes=30)
    found = metrics(sample_site)
    assert found["last_success_timestamp_seconds", "daily"] == pytest.approx(manifest.taken_at.timestamp(), abs=1)
    # The snapshot's moment is the server's clock, not the test's.
    age = (clock.now - manifest.taken_at).total_seconds()
    assert found["backup_age_seconds", "daily"] == pytest.approx(age, abs=1)
    assert found["backup_size_bytes", "daily"] == manifest.size
    assert found["backup_duration_seconds", "dump", "daily"] > 0
    assert found["backup_duration_seconds", "archive", "daily"] > 0
    assert found["backup_rate_bytes_per_second", "dump", "daily"] > 0
    assert (found["backups", "disk", "daily"], found["backups", "s3", "daily"]) == (1, 1)
    assert found["backups", "s3", "hourly"] == 0
    assert found["backup_proven", "daily"] == 0
    assert found["recovery_point_objective_seconds",] == 3600
    assert found["check_passed", "daily/restored_copy", "content_matches"] == 1
    assert (found["up", "database"], found["up", "s3"]) == (1, 1)
    assert sum(found["safety", state] for state in ("SAFE", "AT RISK", "NOT SAFE")) == 1
    assert found["disk_free_bytes",] > 0
    assert found["conditions", "critical"] == 0


def test_an_outage_is_a_value_and_what_is_known_here_is_still_told(make_site, clock) -> None:
    aws = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    down = make_site(f"postgresql://backup@127.0.0.1:{free_port()}/app", aws=aws)
    down.settings.folder.mkdir()
    alert_now(down)
    found = metrics(down)
    assert (found["up", "database"], found["up", "s3"]) == (0, 0)
    assert found["safety", "NOT SAFE"] == 1
    assert found["conditions", "critical"] == 2
    assert found["condition", "database_unreachable", "critical", "the database"] == 1
    assert found["disk_used_bytes",] > 0
    assert found["collected_timestamp_seconds",] == clock.now.timestamp()


def test_a_folder_that_is_gone_is_no_reason_to_say_nothing(make_site, source_url, tmp_path) -> None:
    found = metrics(make_site(source_url, folder=tmp_path / "gone" / "backups"))
    assert found["up", "database"] == 1
    assert not (tmp_path / "gone").exists()


def test_a_subject_with_quotes_and_line_ends_is_escaped() -> None:
    from desbuquei_backups.core.metric_names import Sample

    odd = {"condition": 'a"b\\c', "severity": "critical", "subject": "l1\nl2"}
    assert parsed(text(lambda: [("app", [Sample("desbuquei_condition", 1.0, odd)])])) == {
        ("condition", 'a"b\\c', "critical", "l1\nl2"): 1.0
    }


def test_a_text_file_is_replaced_whole_and_may_be_read_by_node_exporter(tmp_path: Path) -> None:
    path = tmp_path / "desbuquei.prom"
    for content in (b"a 1\n", b"a 2\n"):
        write_textfile(path, content)
    assert path.read_bytes() == b"a 2\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_served_on_loopback_and_collected_once_for_all_who_ask_within_half_a_minute() -> None:
    from desbuquei_backups.core.metric_names import Sample

    asked: list[int] = []

    def collect() -> list[tuple[str, list[Sample]]]:
        asked.append(1)
        return [("app", [Sample("desbuquei_wal_gaps", len(asked))])]

    with Served(collect, "127.0.0.1", 0, keep_seconds=30) as port:
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                assert parsed(answer.read()) == {("wal_gaps",): 1.0}
    assert len(asked) == 1
