"""A Supabase project that is gone comes back in a fresh one: its own schemas, and the rows of its users."""

from collections.abc import Iterator

import psycopg
import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import TargetRefused
from desbuquei_backups.embedded import Server, servers
from desbuquei_backups.embedded.samples import load_supabase
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.destination import destination
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restore import Wanted, restore
from desbuquei_backups.operations.seal import seal
from desbuquei_backups_tests.embedded.processes import deserted_in_the_end

_ONTO = Wanted(platform="supabase")
# The sample as a project is before anybody has made anything in it.
_FRESH = """
drop trigger on_auth_user_created on auth.users;
drop policy "Fotos são públicas" on storage.objects;
drop policy "Cada um na sua pasta" on storage.objects;
drop schema faturamento, supabase_migrations cascade;
do $$
declare statement text;
begin
    for statement in
        select format('drop table public.%I cascade', tablename) from pg_tables where schemaname = 'public'
    loop execute statement; end loop;
    for statement in
        select format('drop routine if exists %s', oid::regprocedure) from pg_proc
         where pronamespace = 'public'::regnamespace
    loop execute statement; end loop;
end
$$;
drop type public.situacao_contato;
truncate auth.users, auth.audit_log_entries, storage.buckets, vault.secrets, realtime.messages cascade;
truncate auth.refresh_tokens restart identity cascade;
delete from extensions.spatial_ref_sys where srid > 990000;
select lo_unlink(800001);
"""


@pytest.fixture(scope="module")
def old_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        deserted_in_the_end(tmp_path_factory.mktemp("old")) as home,
        servers(home, Server.SUPABASE) as running,
    ):
        yield load_supabase(running.postgres[Server.SUPABASE].url, postgres_password="old", rows=200)


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URLs of a fresh project: of the role postgres, and of the platform's own superuser."""
    with (
        deserted_in_the_end(tmp_path_factory.mktemp("new")) as home,
        servers(home, Server.SUPABASE) as running,
    ):
        platform = running.postgres[Server.SUPABASE].url
        url = load_supabase(platform, postgres_password="new", rows=20)
        with psycopg.connect(platform, autocommit=True) as connection:
            connection.execute(_FRESH)
        yield url, platform


def grants(url: str) -> list[tuple]:
    """Who may do what with the tables and sequences of the project's own."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select relnamespace::regnamespace::text, relname, array(select a::text from unnest(relacl) a order by 1) "
            "from pg_class c where relkind in ('r', 'S', 'v', 'm') and relname <> 'backup_logs' "
            "and relnamespace::regnamespace::text in ('public', 'faturamento') order by 1, 2"
        ).fetchall()


def test_a_project_comes_back_in_a_fresh_one(make_site, slot, old_project, new_project):
    url, platform = new_project
    with psycopg.connect(old_project, autocommit=True) as connection:
        connection.execute("revoke all on public.chaves_api from anon")
    site = make_site(old_project)
    for step in (take_dump, seal, archive):
        step(site, slot)
    with pytest.raises(TargetRefused, match="keeps schemas for itself"):
        restore(site, slot.backup_id, destination(url), Wanted())

    done = restore(site, slot.backup_id, destination(url), _ONTO)

    assert [f for f in (*done.row_counts, *done.contents) if f.verdict is Verdict.DIFFERS] == []
    counted = {f.subject for f in done.row_counts if f.verdict is Verdict.MATCHES}
    assert counted >= {"auth.users", "auth.refresh_tokens", "storage.objects", "public.contatos", "faturamento.faturas"}
    # What this role may not make is named, not lost in silence.
    assert {"POLICY storage.objects Fotos são públicas", "auth.schema_migrations"} <= {e.identity for e in done.left}
    with psycopg.connect(platform, autocommit=True) as connection:
        users, profiles = connection.execute(
            "select (select count(*) from auth.users), (select count(*) from public.perfis)"
        ).fetchone()
        assert users == profiles > 0
        # The project's own trigger on a table of the platform's: without it new users get no profile.
        connection.execute("insert into auth.users (id) values (gen_random_uuid())")
        assert connection.execute("select count(*) from public.perfis").fetchone() == (profiles + 1,)
    # The new project grants anon everything on each new table: a dump that does not take it back opens them.
    assert grants(platform) == grants(old_project)

    with pytest.raises(TargetRefused, match="fresh project"):
        restore(site, slot.backup_id, destination(url), _ONTO)
