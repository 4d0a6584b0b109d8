"""The servers answer, keep strangers out, and are what they claim to be."""

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from desbuquei_backups.embedded import PostgresServer, S3Server, Server, servers
from desbuquei_backups_tests.embedded.processes import eventually, living


def s3_client(server: S3Server, secret: str | None = None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret or server.secret_key,
        region_name=server.region,
        config=Config(retries={"total_max_attempts": 1}),
    )


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def test_each_postgres_is_one_of_its_own_fit_for_its_purpose(own_home: Path) -> None:
    with servers(own_home, Server.SOURCE, Server.SCRATCH, Server.PLATFORM) as endpoints:
        source, scratch, platform = (
            endpoints.postgres[name] for name in (Server.SOURCE, Server.SCRATCH, Server.PLATFORM)
        )
        assert endpoints.s3 is None
        # A restore refuses its own source by this number: equal ones would let a restore overwrite what it came from.
        identity = "SELECT system_identifier FROM pg_control_system()"
        assert len({ask(server.url, identity) for server in endpoints.postgres.values()}) == 3
        assert ask(source.url, "SELECT current_database()") == "desbuquei"
        assert ask(platform.url, "SELECT current_database()") == "dagster"
        for server in (source, scratch, platform):
            assert ask(server.url, "SHOW server_encoding") == "UTF8"
            assert ask(server.url, "SHOW data_checksums") == "on"
            assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
            assert server.password not in repr(server)
        assert ask(source.url, "SHOW summarize_wal") == "on"
        assert ask(source.url, "SHOW fsync") == "on"
        assert ask(scratch.url, "SHOW fsync") == "off"
        with psycopg.connect(source.url, replication="database", autocommit=True) as replication:
            assert replication.execute("IDENTIFY_SYSTEM").fetchone()
        wrong = source.url.replace(source.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_s3_checks_credentials_and_encrypts(own_home: Path) -> None:
    with servers(own_home, Server.S3) as endpoints:
        server = endpoints.s3
        assert server is not None
        client = s3_client(server)
        client.put_object(Bucket=server.bucket, Key="a", Body=b"secret words" * 99, ServerSideEncryption="AES256")
        assert client.head_object(Bucket=server.bucket, Key="a")["ServerSideEncryption"] == "AES256"
        assert client.get_object(Bucket=server.bucket, Key="a")["Body"].read() == b"secret words" * 99
        assert "Status" not in client.get_bucket_versioning(Bucket=server.bucket)
        with pytest.raises(ClientError) as refused:
            s3_client(server, "wrong").list_buckets()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        # A dump comes as a multipart upload through a pipe.
        client.upload_fileobj(io.BytesIO(b"x" * 20_000_000), server.bucket, "large")
        environment = server.environment()
        assert environment["AWS_ENDPOINT_URL_S3"] == server.endpoint_url
        assert server.secret_key not in repr(server)
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
        assert not any(server.secret_key.encode() in command for command in commands)


def test_the_bucket_outlives_the_server_and_its_ports(own_home: Path) -> None:
    """Its master begins anew at every start: it must not hand out again the places of what is there."""
    body = {"first": b"1" * 9_000_000, "second": b"2" * 9_000_000}
    with servers(own_home, Server.S3) as endpoints:
        assert endpoints.s3 is not None
        s3_client(endpoints.s3).put_object(Bucket=endpoints.s3.bucket, Key="first", Body=body["first"])
    assert eventually(lambda: not living(own_home))
    port = urlsplit(endpoints.s3.endpoint_url).port
    with socket.create_server(("127.0.0.1", port or 0)), servers(own_home, Server.S3) as again:
        assert again.s3 is not None
        assert urlsplit(again.s3.endpoint_url).port != port
        client = s3_client(again.s3)
        client.put_object(Bucket=again.s3.bucket, Key="second", Body=body["second"])
        for key, expected in body.items():
            assert client.get_object(Bucket=again.s3.bucket, Key=key)["Body"].read() == expected


def test_supabase_wants_tls_and_lets_no_replication_in(own_home: Path) -> None:
    with servers(own_home, Server.SUPABASE) as endpoints:
        server: PostgresServer = endpoints.postgres[Server.SUPABASE]
        assert (server.user, server.sslmode) == ("supabase_admin", "verify-full")
        assert ask(server.url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
        assert ask(server.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(server.url, sslmode="disable", sslrootcert=None)
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry for replication"):
            psycopg.connect(server.url, replication="true")
        listed = json.dumps([path.name for path in (server.bin_dir.parent / "share" / "extension").glob("*.control")])
        assert "pgcrypto" in listed


def test_extension_files_reach_this_server_and_not_the_wheel(tmp_path: Path) -> None:
    from desbuquei_backups.embedded.place import link_tree
    from desbuquei_backups.embedded.supabase import add_extensions

    wheel, tree, samples = tmp_path / "wheel", tmp_path / "tree", tmp_path / "samples"
    (wheel / "share" / "extension").mkdir(parents=True)
    (wheel / "share" / "extension" / "known.control").write_text("original")
    samples.mkdir()
    (samples / "known.control").write_text("changed")
    (samples / "pg_graphql--1.0.sql").write_text("SELECT 1;")
    link_tree(wheel, tree)
    add_extensions(tree, samples)
    assert (tree / "share" / "extension" / "known.control").read_text() == "changed"
    assert (tree / "share" / "extension" / "pg_graphql--1.0.sql").exists()
    assert (wheel / "share" / "extension" / "known.control").read_text() == "original"
    add_extensions(tree, tmp_path / "nowhere")


def test_a_password_is_percent_encoded() -> None:
    server = PostgresServer(
        "127.0.0.1", 5432, "a user", "p@ss/w:rd%", "my db", "disable", None, Path("/data"), Path("/bin")
    )
    assert server.url == "postgresql://a%20user:p%40ss%2Fw%3Ard%25@127.0.0.1:5432/my%20db?sslmode=disable"


def test_importing_is_cheap() -> None:
    """Every command imports this; one that needs no server must not pay for one."""
    script = "import sys, desbuquei_backups.embedded; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "pandas", "boto3", "botocore", "psycopg", "cryptography"} & set(modules)
