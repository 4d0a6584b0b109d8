"""The role of docs/sql/backup_role.sql, made as its head says, and let in by the lines there for pg_hba.conf."""

import re
import subprocess
from pathlib import Path

from psycopg import sql

from desbuquei_backups.postgres.programs import choose, clean_environment
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.urls import with_credentials

SCRIPT = Path(__file__).parents[1] / "docs" / "sql" / "backup_role.sql"
PASSWORD = "segredo-5e1"
_LINE = re.compile(r"^--\s+(hostssl\s.*)$", re.MULTILINE)


def run_script(cluster: Cluster, **given: str) -> None:
    """Run it by psql in the database `postgres`, with these variables set."""
    command = [choose(cluster.major).path("psql"), "--no-psqlrc", "--quiet", "--dbname", cluster.url, "--file", SCRIPT]
    command += [f"--set={name}={value}" for name, value in given.items()]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def backup_role(cluster: Cluster, role: str = "backup", **given: str) -> str:
    """The URL of that role, whose password the server asks for; everybody else but the superuser is shut out."""
    run_script(cluster, role=role, **given)
    with cluster.connect() as connection:
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), PASSWORD))
        lines = _LINE.findall(SCRIPT.read_text())
        assert len(lines) == 2
        names = {"app": "postgres", "backup": f'"{role}"', "192.0.2.10/32": "127.0.0.1/32", "hostssl": "host"}
        ours = [" ".join(names.get(word, word) for word in line.split()) for line in lines]
        hba = ["host all postgres 127.0.0.1/32 trust", *ours]
        (cluster.data / "pg_hba.conf").write_text("\n".join(hba) + "\n")
        connection.execute("select pg_reload_conf()")
    return with_credentials(cluster.url, role, PASSWORD)
