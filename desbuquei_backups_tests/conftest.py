"""Real servers for the tests, started once; a database, a folder and a prefix of its own for each test."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import botocore.session
import hypothesis
import psycopg
import pytest
from psycopg import sql

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.embedded import Server, servers
from desbuquei_backups.embedded.samples import load_plain, load_supabase
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL, Settings
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.embedded.processes import deserted_in_the_end, eventually
from desbuquei_backups_tests.in_memory import folder_in_memory
from desbuquei_backups_tests.left_behind import clearing, leaving_nothing
from desbuquei_backups_tests.urls import with_database

# They need Chromium: `make test-browser`.
collect_ignore = ["browser"]

SLOT = Slot.of_id("daily-2026-02-02-020000")
SAMPLE_ROWS = 300


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers are: superusers' URLs of two PostgreSQL servers, a bucket and what reaches it."""

    source: str
    scratch: str
    bucket: str
    aws: Mapping[str, str]

    @property
    def secrets(self) -> list[str]:
        """What must never be seen anywhere."""
        passwords = [urlsplit(url).password for url in (self.source, self.scratch)]
        return [unquote(password) for password in passwords if password] + [self.aws["AWS_SECRET_ACCESS_KEY"]]


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **length: float) -> None:
        self.now += timedelta(**length)


# A busy machine is no failure: how long an example takes says nothing.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# What boto3 knows of S3 it reads anew for every client: a tenth of a second, some two thousand times.
botocore.session.create_loader = cache(botocore.session.create_loader)


@pytest.fixture(scope="session")
def memory() -> Iterator[Path | None]:
    """A folder in memory, where there is enough of it: None means that files lie where temporary ones do."""
    with folder_in_memory() as path:
        yield path


@pytest.fixture(scope="session")
def home(memory: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The embedded servers' state."""
    with deserted_in_the_end(memory / "home" if memory else tmp_path_factory.mktemp("home")) as path:
        path.mkdir(exist_ok=True)
        yield path


@pytest.fixture(scope="session")
def endpoints(home: Path) -> Iterator[Endpoints]:
    """The embedded servers: a source, a server for restored copies, S3."""
    with servers(home, Server.SOURCE, Server.SCRATCH, Server.S3) as running:
        with psycopg.connect(running.postgres[Server.SOURCE].url, autocommit=True) as connection:
            # Its transactions, at no moment that a test could know, would count as changes.
            connection.execute("alter system set autovacuum = off")
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        yield Endpoints(
            source=running.postgres[Server.SOURCE].url,
            scratch=running.postgres[Server.SCRATCH].url,
            bucket=running.s3.bucket,
            aws=running.s3.environment(),
        )


@pytest.fixture(scope="session")
def _watched(endpoints: Endpoints) -> Iterator[Mapping[str, psycopg.Connection]]:
    """Connections to the shared servers; whatever fixtures of a session or a module made there, they took away."""
    with (
        psycopg.connect(endpoints.source, autocommit=True) as source,
        psycopg.connect(endpoints.scratch, autocommit=True) as scratch,
    ):
        watched = {"source": source, "restore": scratch}
        with leaving_nothing(watched):
            yield watched


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves anything on the shared servers: the one that does is named, not one that comes after it."""
    if "endpoints" not in request.fixturenames:
        yield
        return
    with leaving_nothing(request.getfixturevalue("_watched")):
        yield


@contextmanager
def _database(server: str, name: str, template: str = "template0") -> Iterator[str]:
    with psycopg.connect(server, autocommit=True) as connection:
        create = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        connection.execute(create)
        try:
            yield with_database(server, name)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            # A base backup's slot is the server's: the next test's WAL is another story.
            connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")


@pytest.fixture
def database_name() -> str:
    """The name of the test's database; a test that wants an odd one parametrizes this."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def source_url(endpoints: Endpoints, database_name: str) -> Iterator[str]:
    """A superuser's URL of an empty database of this test's own, dropped afterwards."""
    with _database(endpoints.source, database_name) as url:
        yield url


@pytest.fixture
def source(source_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to `source_url`, as the application that writes there."""
    with psycopg.connect(source_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def restore_url(endpoints: Endpoints) -> str:
    return endpoints.scratch


@pytest.fixture
def scratch(restore_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the server for restored copies."""
    with psycopg.connect(restore_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def target(restore_url: str, scratch: psycopg.Connection) -> Iterator[str]:
    """The URL of a database that is not there yet; it and the roles that come with it are dropped afterwards."""
    with clearing(scratch):
        yield with_database(restore_url, f"target_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def bucket_url(endpoints: Endpoints) -> str:
    """A prefix of this test's own."""
    return f"s3://{endpoints.bucket}/tests/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bucket(bucket_url: str, endpoints: Endpoints) -> Bucket:
    return Bucket(bucket_url, endpoints.aws)


@pytest.fixture
def clock() -> Clock:
    """02:10 on 2 February 2026, inside the slot `daily-2026-02-02-020000`."""
    return Clock()


@pytest.fixture
def slot() -> Slot:
    """The slot that is open at `clock`."""
    return SLOT


@pytest.fixture
def no_wal(endpoints: Endpoints) -> Iterator[None]:
    """While the test lasts, the source lets nobody replicate: the hourly takes dumps, as of a managed server."""
    with psycopg.connect(endpoints.source, autocommit=True) as connection:
        row = connection.execute("show hba_file").fetchone()
        assert row is not None
        path = Path(row[0])
        before = path.read_text()

        def become(text: str, *, replicating: bool) -> None:
            path.write_text(text)
            connection.execute("select pg_reload_conf()")
            assert eventually(lambda: _replicates(endpoints.source) is replicating)

        become(f"host replication all all reject\n{before}", replicating=False)
        yield
        become(before, replicating=True)


def _replicates(url: str) -> bool:
    try:
        psycopg.connect(url, replication="true").close()
    except psycopg.OperationalError:
        return False
    return True


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(endpoints: Endpoints, tmp_path: Path, bucket_url: str, clock: Clock) -> MakeSite:
    """A function that makes a site over this test's folder and prefix; `urls` and `aws` change single settings."""

    def make(database: str | None, *, lock_timeout: timedelta = timedelta(seconds=5), **changed: object) -> Site:
        urls = {DATABASE_URL: database, S3_URL: bucket_url, RESTORE_URL: endpoints.scratch}
        urls |= changed.pop("urls", {})
        settings = Settings(
            policy=load_policy().model_copy(update={"lock_timeout": lock_timeout}),
            backup_dir=changed.pop("folder", tmp_path / "backups"),
            home=tmp_path,
            urls={name: url for name, url in urls.items() if url},
            aws={**endpoints.aws, **changed.pop("aws", {})},
            second_aws=changed.pop("second_aws", {}),
        )
        return Site(settings, now=clock, **{"lock_wait_seconds": 0.5, **changed})

    return make


@pytest.fixture
def site(make_site: MakeSite, source_url: str) -> Site:
    """A site over an empty database."""
    return make_site(source_url)


@pytest.fixture(scope="session")
def sample_template(endpoints: Endpoints, _watched: Mapping[str, psycopg.Connection]) -> Iterator[str]:
    """The name of a database with the plain sample, to be copied."""
    with clearing(_watched["source"]), _database(endpoints.source, "sample_template") as url:
        load_plain(url, rows=SAMPLE_ROWS, tablespace=True)
        yield "sample_template"


@pytest.fixture
def sample_url(endpoints: Endpoints, sample_template: str, database_name: str) -> Iterator[str]:
    """A superuser's URL of a database of this test's own that holds the plain sample."""
    with _database(endpoints.source, database_name, sample_template) as url:
        yield url


@pytest.fixture
def sample_site(make_site: MakeSite, sample_url: str) -> Site:
    """A site over the plain sample."""
    return make_site(sample_url)


@pytest.fixture(scope="session")
def project_url(home: Path) -> Iterator[str]:
    """The URL of a Supabase-shaped project, for its role `postgres`, which is no superuser; TLS only."""
    with servers(home, Server.SUPABASE) as running:
        yield load_supabase(running.postgres[Server.SUPABASE].url, postgres_password="s3nha/d'água?", rows=200)
