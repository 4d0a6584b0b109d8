"""What the operations' tests share: the look for losses, impatience with a store that is down."""

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.embedded import Server, servers
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.versions import versions
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import Clock, Endpoints, MakeSite
from desbuquei_backups_tests.operations.losses import Losses
from desbuquei_backups_tests.operations.origin import ground, origin
from desbuquei_backups_tests.operations.story import Story, tell
from desbuquei_backups_tests.operations.tiers import TOGETHER
from desbuquei_backups_tests.operations.wal import write


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")


@pytest.fixture
def together(clock: Clock) -> None:
    """Ten minutes after an instant at which five tiers are due."""
    clock.now = TOGETHER + timedelta(minutes=10)


@pytest.fixture
def same_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's clock is the test's; what comes of one that is not is in test_clocks.py."""
    monkeypatch.setattr(Bucket, "time", lambda self: clock())


@pytest.fixture
def vault_url(endpoints: Endpoints) -> Iterator[str]:
    """A bucket of the test's own with Object Lock, and so with versioning."""
    name = f"vault-{uuid.uuid4().hex[:12]}"
    bucket = Bucket(f"s3://{name}", endpoints.aws)
    bucket.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield f"s3://{name}/backups"
    for version in list(versions(bucket, "")):
        if not version.delete_marker:
            bucket.client.put_object_legal_hold(
                Bucket=name, Key=version.key, VersionId=version.version_id, LegalHold={"Status": "OFF"}
            )
        bucket.client.delete_object(
            Bucket=name, Key=version.key, VersionId=version.version_id, BypassGovernanceRetention=True
        )
    bucket.client.delete_bucket(Bucket=name)


@pytest.fixture
def elsewhere_url(endpoints: Endpoints) -> Iterator[str]:
    """A bucket of the test's own: a second place."""
    name = f"elsewhere-{uuid.uuid4().hex[:12]}"
    client = Bucket(f"s3://{name}", endpoints.aws).client
    client.create_bucket(Bucket=name)
    yield f"s3://{name}/backups"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket=name, Key=found["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def losses(bucket: Bucket, endpoints: Endpoints, caplog: pytest.LogCaptureFixture) -> Losses:
    return Losses(bucket, endpoints.secrets, caplog)


@pytest.fixture
def shop(source: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database of three tables, a sequence and a large object."""
    source.execute(
        """
        create table clientes (id bigint generated always as identity primary key, nome text not null);
        insert into clientes (nome) select 'cliente ' || i from generate_series(1, 50) i;
        create table pedidos (id int primary key, cliente bigint references clientes, valor numeric(10, 2));
        insert into pedidos select i, i, i * 1.25 from generate_series(1, 40) i;
        create table vazia (a int);
        select lo_from_bytea(0, 'contrato');
        """
    )
    return source


@pytest.fixture
def big(source: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database whose dump is longer than every pipe and buffer on its way."""
    source.execute(
        "create table muita (a text); insert into muita "
        "select string_agg(md5(i::text || j), '') from generate_series(1, 400) i, generate_series(1, 1000) j group by i"
    )
    return source


@pytest.fixture
def application(source_url: str) -> Iterator[psycopg.Connection]:
    """A second connection, as of somebody who works there meanwhile."""
    with psycopg.connect(source_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def own_template(home: Path, endpoints: Endpoints) -> Iterator[Cluster]:
    """A cluster that was made once, and is stopped: to be copied."""
    with servers(home, Server.SOURCE) as running:
        server = running.postgres[Server.SOURCE]
    folder = server.data_dir.parent / "own"
    folder.mkdir()
    owner = server.data_dir.stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
    cluster = Cluster(folder, server.bin_dir, "template").make()
    yield cluster
    cluster.remove()


@pytest.fixture
def own_server(own_template: Cluster) -> Iterator[Cluster]:
    """A server of the test's own, of a cluster of its own."""
    cluster = own_template.copy(f"c{uuid.uuid4().hex[:8]}")
    yield cluster.start()
    cluster.remove()


@pytest.fixture
def wal_site(make_site: MakeSite, own_server: Cluster) -> Site:
    """A site over a server of its own."""
    return make_site(own_server.url)


@pytest.fixture(scope="session")
def real_wal(own_template: Cluster) -> Iterator[Path]:
    """The pg_wal of a cluster that wrote a few segments, beside its pg_control; it is stopped."""
    cluster = own_template.copy("real").start()
    write(cluster, 4)
    cluster.stop()
    yield cluster.data / "pg_wal"
    cluster.remove()


@pytest.fixture(scope="session")
def open_ground(memory: Path | None) -> Iterator[Path]:
    """A folder that servers of the tests' own reach."""
    with ground(memory) as path:
        yield path


@pytest.fixture(scope="session")
def story(open_ground: Path, endpoints: Endpoints) -> Iterator[Story]:
    """A source that archives its WAL, a backup of it, and a write load after that."""
    with origin(open_ground) as source:
        yield tell(source, open_ground, endpoints)
