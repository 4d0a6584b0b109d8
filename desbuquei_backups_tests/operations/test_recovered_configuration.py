"""Debian keeps a cluster's configuration outside its data directory: a clone gets it, but for what leads out."""

from pathlib import Path

import pytest

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.operations.recovered_configuration import configure, parse_configuration
from desbuquei_backups.operations.recovery_folder import recovery_folder
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.programs import choose_server

_DEBIAN = {
    "postgresql.conf": "data_directory = '/var/lib/postgresql/17/main'\ninclude_dir = 'conf.d'\nwork_mem = '8MB'\n",
    "pg_hba.conf": "host all all 10.0.0.0/8 scram-sha-256\n",
}


def test_what_is_missing_comes_from_beside_the_backup_or_is_a_safe_minimum(open_ground: Path) -> None:
    data = open_ground / "debian"
    with recovery_folder(data, doing="a test") as folder:
        cluster = Cluster(data, choose_server(17), folder.account)
        (data / "standby.signal").touch()
        (data / "postgresql.conf").symlink_to("/etc/postgresql/17/main/postgresql.conf")
        notes = configure(cluster, folder, _DEBIAN)
        assert not (data / "standby.signal").exists()
        assert not (data / "postgresql.conf").is_symlink()
        lines = (data / "postgresql.conf").read_text().splitlines()
        assert [line for line in lines if not line.startswith("#")] == ["work_mem = '8MB'"]
        assert (data / "pg_hba.conf").read_text() == _DEBIAN["pg_hba.conf"]
        assert (data / "pg_ident.conf").read_text() == ""
        assert {(data / name).stat().st_mode & 0o777 for name in ("postgresql.conf", "pg_hba.conf")} == {0o600}
        said = " ".join(notes)
        assert "pg_ident.conf was not in the data directory: it is a minimal one" in said
        assert "pg_hba.conf was not in the data directory: it is the source's" in said
        (data / "pg_hba.conf").write_text("local all all peer\n")
        configure(cluster, folder, _DEBIAN)
        assert (data / "pg_hba.conf").read_text() == "local all all peer\n"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff{"])
def test_a_configuration_that_cannot_be_read_is_no_empty_one(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        parse_configuration(content)
