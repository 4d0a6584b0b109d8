"""The manifest is the truth: one that can be altered or misread in silence proves nothing."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role, manifest_name, parse_manifest
from desbuquei_backups_tests.examples import example_manifest


def test_it_is_written_and_read_back_the_same() -> None:
    manifest = example_manifest()
    read = parse_manifest(manifest.to_bytes(), where="disk")
    assert read.to_bytes() == manifest.to_bytes()
    assert read.tables[0] == manifest.tables[0].model_copy(update={"parts": []})
    assert manifest.to_bytes().endswith(b"}\n")
    assert manifest_name(manifest.backup_id) == "daily-2026-02-02-020000.manifest.json"


@given(st.integers(0, len(example_manifest().to_bytes()) - 2))
def test_a_truncated_manifest_is_refused(length: int) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        parse_manifest(example_manifest().to_bytes()[:length], where="s3://b/k")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 0}, "schema_version"),
        ({"schema_version": "2"}, "schema_version"),
        ({"tables": None}, "tables"),
        ({"slot": "2026-02-02T02:00:00"}, "slot"),
        ({"surprise": 1}, "surprise"),
        ({"files": [{"name": "x"}]}, r"files\.0\.role"),
    ],
)
def test_a_manifest_of_another_shape_is_refused_with_the_field(change: dict[str, object], said: str) -> None:
    content = json.dumps({**json.loads(example_manifest().to_bytes()), **change}).encode()
    with pytest.raises(IntegrityError, match=said) as caught:
        parse_manifest(content, where="s3://bucket/daily/x.manifest.json")
    assert "s3://bucket/daily/x.manifest.json" in caught.value.what
    assert caught.value.remedy


def test_a_manifest_of_a_newer_program_says_so_and_what_to_do() -> None:
    content = json.dumps({**json.loads(example_manifest().to_bytes()), "schema_version": 2, "surprise": 1}).encode()
    with pytest.raises(IntegrityError) as caught:
        parse_manifest(content, where="s3://b/k")
    assert caught.value.what == (
        "the manifest s3://b/k was written by a newer desbuquei_backups (schema version 2, this one reads 1)"
    )
    assert caught.value.remedy == "upgrade desbuquei_backups on this machine"


def test_sealing_links_it_to_the_manifest_before_it() -> None:
    now = datetime(2026, 2, 2, 2, 11, tzinfo=UTC)
    first = example_manifest().sealed(now, None)
    assert (first.sealed_at, first.previous_manifest_sha256) == (now, None)
    second = example_manifest().sealed(now, first.to_bytes())
    assert second.previous_manifest_sha256 == hashlib.sha256(first.to_bytes()).hexdigest()
    assert example_manifest().sealed_at is None


def test_its_sums_are_those_of_its_parts() -> None:
    manifest = example_manifest()
    assert manifest.size == sum(file.size for file in manifest.files)
    assert manifest.rows == 12
    assert manifest.dump is manifest.file(Role.DUMP)
    assert manifest.server.major == 17


def test_nobody_changes_it_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example_manifest().tier = "weekly"  # type: ignore[misc]


@pytest.mark.parametrize("field", ["size", "plain_size"])
def test_a_negative_size_is_refused(field: str) -> None:
    facts = {"name": "x", "role": "dump", "size": 1, "plain_size": 1, "md5": "", "sha256": "", field: -1}
    with pytest.raises(ValidationError, match=field):
        FileFacts.model_validate(facts)


def test_it_is_json_that_a_person_can_read() -> None:
    assert isinstance(example_manifest(), Manifest)
    assert b'\n "backup_id": "daily-2026-02-02-020000",\n' in example_manifest().to_bytes()
