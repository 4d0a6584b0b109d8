"""A proof that is too easily given is worse than none: somebody relies on it."""

import gzip
import hashlib
import signal
import zlib
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from desbuquei_backups.core.comparison import Verdict, tally
from desbuquei_backups.core.errors import IntegrityError, NotFound, RestoreFailed, StoreUnreachable, TargetRefused
from desbuquei_backups.core.manifest import DatabaseObject, Manifest, Requirement
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.comparing_schema import PROPERTIES
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.equal_copy import Proof
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import RESTORE_URL
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.stream import checksums_of
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.left_behind import standing
from desbuquei_backups_tests.operations.elsewhere import elsewhere, said
from desbuquei_backups_tests.operations.losses import Watching, line_of
from desbuquei_backups_tests.urls import with_options

PG_CLASS = 1259


_KINDS = frozenset(
    "table,view,materialized view,foreign table,sequence,index,primary key,foreign key,unique constraint,"
    "exclusion constraint,check constraint,trigger,rule,policy,function,procedure,aggregate,type,domain,statistics,"
    "collation,conversion,operator,operator class,operator family,text search configuration,cast,access method,"
    "foreign-data wrapper,server,user mapping,event trigger,publication,table of a publication,default privileges,"
    "schema,extension,column,not null,default,partition,row-level security,grantee,owned by desbuquei_app".split(",")
)


def archived(site, slot) -> Manifest:
    take_dump(site, slot)
    seal(site, slot)
    return archive(site, slot).manifest


def remade(site, slot, change: Callable[[bytes], bytes] = lambda plain: plain, **facts: object) -> None:
    """Take a backup, change its dump's plain bytes, and archive it under a manifest that agrees with the new bytes."""
    take_dump(site, slot)
    manifest = seal(site, slot).manifest
    path = site.settings.folder / manifest.dump.name
    before = gzip.decompress(path.read_bytes())
    plain = change(before)
    assert facts or plain != before
    data = gzip.compress(plain)
    path.write_bytes(data)
    sums = {
        "size": len(data),
        "plain_size": len(plain),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "parts_sha256": checksums_of(path, plain_size=len(plain)).parts_sha256,
    }
    files = [manifest.dump.model_copy(update=sums), *(file for file in manifest.files if file is not manifest.dump)]
    other = manifest.model_copy(update={"files": files, **facts})
    catalog.manifest_path(site.settings.folder, slot.backup_id).write_bytes(other.to_bytes())
    archive(site, slot)


def wrong(proof: Proof) -> dict[str, str]:
    """The subjects that do not match, with why."""
    return {finding.subject: finding.why for finding in proof.findings if finding.verdict is Verdict.DIFFERS}


def uncompared(proof: Proof) -> dict[str, str]:
    return {finding.subject: finding.why for finding in proof.findings if finding.verdict is Verdict.UNCOMPARED}


def test_the_sample_is_proved_whole(sample_site, slot) -> None:
    manifest = archived(sample_site, slot)
    proof = prove(sample_site, slot)
    assert wrong(proof) == {}
    assert uncompared(proof) == {}
    assert proof.verdict is Verdict.MATCHES
    assert len(proof.row_counts) == len(manifest.tables)
    assert len(proof.contents) == len(proof.tables) == len(manifest.tables)
    assert len(proof.objects) > len(manifest.sequences) + 80, tally(proof.objects)
    assert len(proof.schema) > 100, tally(proof.schema)
    assert {each.kind for each in manifest.objects} >= _KINDS
    assert line_of(sample_site, slot)["recovery_tested"] is True


def test_roles_made_for_it_cannot_log_in_and_existing_ones_stay_as_they_are(
    make_site, sample_url, slot, scratch, restore_url
) -> None:
    made: list[tuple[str, bool, bool]] = []
    query = (
        "select rolname::text, rolcanlogin, rolpassword is not null from pg_authid "
        "where rolname like 'desbuquei%' order by 1"
    )

    def look() -> None:
        with psycopg.connect(restore_url) as connection:
            made.extend(connection.execute(query).fetchall())

    site = make_site(sample_url, progress=Watching(at={"comparing the schema": look}))
    archived(site, slot)
    scratch.execute("create role desbuquei_leitura login password 'dele' connection limit 3")
    before = scratch.execute("select * from pg_authid where rolname = 'desbuquei_leitura'").fetchall()
    try:
        assert prove(site, slot).verdict is Verdict.MATCHES
        assert made == [
            ("desbuquei_app", False, False),
            ("desbuquei_leitura", True, True),
            ("desbuquei_suporte", False, False),
        ]
        assert scratch.execute("select * from pg_authid where rolname = 'desbuquei_leitura'").fetchall() == before
    finally:
        scratch.execute("drop role desbuquei_leitura")


def test_what_the_application_writes_meanwhile_is_not_compared(site, shop, slot) -> None:
    archived(site, slot)
    shop.execute("delete from pedidos; drop table vazia")
    assert prove(site, slot).verdict is Verdict.MATCHES


ROW = b"7\t7\t8.75\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda plain: plain.replace(ROW, b""), {"public.pedidos": {"-1 rows", "differs"}}),
        (lambda plain: plain.replace(ROW, b"7\t7\t8.76\n"), {"public.pedidos": {"differs"}}),
        (lambda plain: plain.replace(ROW, b"7\t\\N\t8.75\n"), {"public.pedidos": {"differs"}}),
        (lambda plain: plain.replace(ROW, ROW + b"41\t7\t8.75\n"), {"public.pedidos": {"+1 rows", "differs"}}),
        (lambda plain: plain.replace(b"cliente 9\n", b"cliente  9\n"), {"public.clientes": {"differs"}}),
        (lambda plain: plain.replace(b"clientes_id_seq', 50, true", b"clientes_id_seq', 49, true"),
         {"sequence public.clientes_id_seq": {"differs"}}),
        (lambda plain: plain.replace(b"contrato".hex().encode(), b"Contrato".hex().encode()),
         {"large objects": {"differs"}}),
    ],
    ids=["row deleted", "value changed", "value lost", "row added", "a space", "sequence", "large object"],
)  # fmt: skip
def test_the_smallest_loss_is_named(site, shop, slot, change, expected: dict[str, set[str]]) -> None:
    remade(site, slot, change)
    proof = prove(site, slot)
    found = [finding for finding in proof.findings if finding.verdict is Verdict.DIFFERS]
    assert {finding.subject for finding in found} == set(expected)
    for subject, why in expected.items():
        assert {finding.why for finding in found if finding.subject == subject} == why
    assert proof.verdict is Verdict.DIFFERS
    line = line_of(site, slot)
    assert (line["status"], line["recovery_tested"]) == ("failed", False)
    assert "the restored copy is not the source" in line["error"]


def test_a_row_that_is_doubled_is_named(site, shop, slot) -> None:
    shop.execute("alter table pedidos drop constraint pedidos_pkey")
    remade(site, slot, lambda plain: plain.replace(ROW, ROW + ROW))
    assert wrong(prove(site, slot)) == {"public.pedidos": "differs"}


def test_a_table_that_the_backup_lacks_or_has_too_much_is_named(site, shop, slot) -> None:
    shop.execute("create table mais (a int)")
    tables = [table for table in take_dump(site, slot).manifest.tables if table.identity != "public.mais"]
    lost = tables[0].model_copy(update={"identity": "public.perdida", "oid": 1})
    remade(site, slot, tables=[*tables, lost])
    found = wrong(prove(site, slot))
    assert found["public.mais"] == "not in the source"
    assert found["public.perdida"] == "not in the restored copy"


def test_a_dump_that_psql_stops_at_is_no_copy(site, shop, slot, losses) -> None:
    remade(site, slot, lambda plain: plain.replace(ROW, b"7\t999\t8.75\n"))
    error = losses.fails(site, slot, prove, RestoreFailed, "pedidos_cliente_fkey")
    assert line_of(site, slot)["recovery_tested"] is False
    assert error.remedy


def test_a_backup_without_counts_proves_its_schema_alone(site, shop, slot) -> None:
    take_dump(site, slot, measured=False)
    seal(site, slot)
    archive(site, slot)
    proof = prove(site, slot)
    assert proof.verdict is Verdict.UNCOMPARED
    assert wrong(proof) == {}
    assert "taken without counts" in uncompared(proof)["public.pedidos"]


def test_what_the_server_lacks_is_restored_around_and_neither_green_nor_red(site, shop, slot) -> None:
    shop.execute(
        "create extension hstore; create table com_extensao (a hstore); insert into com_extensao values ('a=>1')"
    )
    shop.execute("create view sobre_extensao as select * from com_extensao; create index on com_extensao using gin (a)")
    manifest = take_dump(site, slot).manifest
    (hstore,) = [one for one in manifest.requirements if one.name == "hstore"]

    def other_extension(plain: bytes) -> bytes:
        # As if the source had an extension that no other server has.
        return plain.replace(b"EXISTS hstore", b"EXISTS only_there").replace(
            b"Name: hstore; Type: EXTENSION", b"Name: only_there; Type: EXTENSION"
        )

    requirements = [hstore.model_copy(update={"name": "only_there"})]
    remade(site, slot, other_extension, requirements=requirements)
    proof = prove(site, slot)
    assert wrong(proof) == {}
    assert proof.verdict is Verdict.UNCOMPARED
    found = uncompared(proof)
    assert "only_there" in found["public.com_extensao"]
    assert {"TABLE public.com_extensao", "VIEW public.sobre_extensao", "EXTENSION only_there"} <= set(found)
    matching = {finding.subject for finding in (*proof.contents, *proof.objects) if finding.verdict is Verdict.MATCHES}
    assert matching >= {"public.clientes", "public.pedidos", "public.vazia", "large objects"}
    assert [unmet.requirement.name for unmet in proof.lacking] == ["only_there"]


def test_a_collation_that_the_server_lacks_is_no_reason_to_call_the_rest_untrue(site, shop, slot) -> None:
    row = shop.execute("select 'vazia'::regclass::oid::int").fetchone()
    needs = Requirement(
        kind="collation",
        name="public.gelo",
        definition="provider = libc, locale = 'xx_XX.none'",
        dependants=[DatabaseObject(class_oid=PG_CLASS, oid=row[0], kind="table", identity="public.vazia")],
    )
    remade(site, slot, requirements=[needs])
    proof = prove(site, slot)
    assert wrong(proof) == {}
    assert "public.gelo" in uncompared(proof)["public.vazia"]


def test_the_source_itself_proves_nothing(make_site, source_url, shop, slot, losses) -> None:
    site = make_site(source_url)
    archived(site, slot)
    itself = make_site(source_url, urls={RESTORE_URL: source_url})
    databases = shop.execute("select count(*) from pg_database").fetchone()
    error = losses.fails(itself, slot, prove, TargetRefused, "the source itself", status="success")
    assert "never seen the source" in error.remedy
    assert shop.execute("select count(*) from pg_database").fetchone() == databases
    assert shop.execute("select count(*) from pedidos").fetchone() == (40,)


def test_an_older_server_is_refused_before_anything_is_made(site, shop, slot, losses) -> None:
    server = take_dump(site, slot).manifest.server.model_copy(update={"version_number": 180001, "version": "18.1"})
    remade(site, slot, server=server)
    losses.fails(site, slot, prove, TargetRefused, "PostgreSQL 17, the dump is from 18", status="success")


def test_a_restore_server_that_is_down_says_which_setting(make_site, source_url, shop, slot, losses) -> None:
    from desbuquei_backups.core.errors import SourceUnreachable
    from desbuquei_backups_tests.urls import with_port

    archived(make_site(source_url), slot)
    down = make_site(source_url, urls={RESTORE_URL: with_port(source_url, free_port())})
    error = losses.fails(down, slot, prove, SourceUnreachable, RESTORE_URL, status="success")
    assert not error.permanent


def altered(bucket, key: str, change: Callable[[bytes], bytes] | None) -> None:
    """Change an object behind our back, with all that it says of itself kept."""
    where = {"Bucket": bucket.name, "Key": f"{bucket.prefix}/{key}"}
    if change is None:
        bucket.client.delete_object(**where)
        return
    metadata = bucket.client.head_object(**where)["Metadata"]
    bucket.client.put_object(**where, Body=change(b"".join(bucket.read(key))), Metadata=metadata)


def another_dump(data: bytes) -> bytes:
    """A whole dump of the same size in plain, with one value changed: only the checksum tells."""
    return gzip.compress(zlib.decompress(data, wbits=31).replace(ROW, b"7\t7\t1.00\n"))


@pytest.mark.parametrize(
    ("suffix", "change", "kind", "match"),
    [
        ("sql.gz", another_dump, IntegrityError, "is not what was archived"),
        ("sql.gz", lambda data: data[: len(data) // 2], IntegrityError, "cut off"),
        ("sql.gz", lambda data: data + b"x", IntegrityError, "foreign bytes"),
        ("sql.gz", None, NotFound, r"020000\.sql\.gz"),
        (
            "globals.sql.gz",
            lambda data: gzip.compress(b"CREATE ROLE intruso SUPERUSER;"),
            IntegrityError,
            "not what was",
        ),
        ("database.sql.gz", lambda data: gzip.compress(b""), IntegrityError, "not what was archived"),
        ("manifest.json", lambda data: data[:-30], IntegrityError, "cannot be read"),
    ],
    ids=["replaced", "truncated", "extended", "deleted", "roles", "properties", "manifest"],
)
def test_an_object_altered_behind_our_back_is_refused(site, shop, slot, losses, suffix, change, kind, match) -> None:
    archived(site, slot)
    altered(losses.bucket, f"daily/{slot.backup_id}.{suffix}", change)
    error = losses.fails(site, slot, prove, kind, match)
    assert error.remedy
    assert line_of(site, slot)["recovery_tested"] is False


def test_a_store_that_is_down_is_a_passing_error(make_site, source_url, shop, slot, losses) -> None:
    archived(make_site(source_url), slot)
    down = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    losses.fails(down, slot, prove, StoreUnreachable, "s3://", status="success")


def test_what_is_not_archived_cannot_be_proved(site, shop, slot) -> None:
    with pytest.raises(NotFound, match="not archived") as caught:
        prove(site, slot)
    assert caught.value.backup_id == slot.backup_id


def test_what_a_killed_copy_left_is_dropped_by_the_next(sample_site, slot, scratch, caplog) -> None:
    archived(sample_site, slot)
    before = standing(scratch)
    with elsewhere(sample_site, slot, "prove", hang_at="counting and fingerprinting") as run:
        assert [said(run), said(run)] == ["ready", "hanging"]
        run.send_signal(signal.SIGKILL)
    left = standing(scratch) - before
    assert {("role", "desbuquei_app"), ("tablespace", "desbuquei_frio")} <= left
    databases = [name for kind, name in left if kind == "database"]
    assert [name for name in databases if name.startswith("desbuquei_copy_daily_2026_02_02_020000_")]
    assert prove(sample_site, slot).verdict is Verdict.MATCHES
    assert "copy_daily_2026_02_02_020000" in caplog.text
    assert standing(scratch) == before


def test_no_password_of_a_user_mapping_is_in_a_finding(site, shop, slot) -> None:
    shop.execute(
        "create extension postgres_fdw; create server longe foreign data wrapper postgres_fdw options (host 'longe');"
        "create user mapping for current_user server longe options (user 'x', password 'segredo-do-longe')"
    )
    remade(site, slot, lambda plain: plain.replace(b"segredo-do-longe", b"segredo-do-outro"), left_out=[])
    proof = prove(site, slot)
    assert proof.verdict is Verdict.MATCHES  # the dump's own words are the source of the definitions
    assert "segredo" not in repr(proof.schema)


def test_a_database_of_somebody_else_on_the_restore_server_is_left_alone(site, shop, slot, scratch) -> None:
    scratch.execute("create database desbuquei_copy_of_mine")
    try:
        archived(site, slot)
        prove(site, slot)
        found = scratch.execute("select count(*) from pg_database where datname = 'desbuquei_copy_of_mine'").fetchone()
        assert found == (1,)
    finally:
        scratch.execute("drop database desbuquei_copy_of_mine")


ODD = 'd\'água "x"; drop table t; -- $$ %s \\ <b>ação 🗄'


@pytest.mark.parametrize("database_name", [ODD], ids=["odd"])
def test_names_with_quotes_spaces_semicolons_and_utf8_are_names(site, source, slot, database_name: str) -> None:
    name, role = sql.Identifier(ODD), sql.Identifier(ODD[:50])
    source.execute(sql.SQL("create role {}").format(role))
    try:
        source.execute(
            sql.SQL(
                "create schema {0} authorization {1}; create table {0}.{0} ({0} serial primary key, b text);"
                "insert into {0}.{0} (b) values ('x'), ({2}); alter table {0}.{0} owner to {1};"
                "create view {0}.v as select * from {0}.{0}; comment on table {0}.{0} is {2};"
                "alter database {0} set search_path to {0}; comment on database {0} is {2};"
                "grant connect on database {0} to {1}"
            ).format(name, role, sql.Literal(ODD))
        )
        manifest = archived(site, slot)
        assert manifest.server.database == ODD
        proof = prove(site, slot)
        assert wrong(proof) == {}
        assert uncompared(proof) == {}
        odd = f"{name.as_string(source)}.{name.as_string(source)}"
        assert odd in {finding.subject for finding in proof.row_counts}
        assert f"TABLE {ODD}.{ODD}" in {finding.subject for finding in proof.schema}
        assert take_dump(site, slot).reused
    finally:
        source.execute(sql.SQL("drop schema {} cascade; drop owned by {}").format(name, role))
        source.execute(sql.SQL("drop role {}").format(role))


def test_a_source_in_another_time_zone_is_worded_the_same(make_site, source_url, source, slot) -> None:
    source.execute(
        "create table por_ano (em timestamptz) partition by range (em);"
        "create table de_2025 partition of por_ano for values from ('2025-01-01 00:00-03') to ('2026-01-01 00:00-03')"
    )
    elsewhere_in_time = make_site(with_options(source_url, options="-ctimezone=America/Sao_Paulo"))
    take_dump(elsewhere_in_time, slot)
    seal(elsewhere_in_time, slot)
    archive(elsewhere_in_time, slot)
    assert wrong(prove(elsewhere_in_time, slot)) == {}


def test_the_databases_own_properties_are_read_back_and_compared(site, source, slot, database_name: str) -> None:
    source.execute(
        f"alter database {database_name} set timezone = 'America/Sao_Paulo';"
        f"alter database {database_name} set bytea_output = 'escape';"
        f"comment on database {database_name} is 'pedidos; e \"clientes\"';"
        "create table por_ano (em timestamptz) partition by range (em);"
        "create table de_2025 partition of por_ano for values from ('2025-01-01 00:00-03') to ('2026-01-01 00:00-03');"
        "create table com_bytes (b bytea default '\\x00ff')"
    )
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)
    proof = prove(site, slot)
    assert wrong(proof) == {}
    properties = next(finding for finding in proof.schema if finding.subject == PROPERTIES)
    assert properties.verdict is Verdict.MATCHES
    assert all(word in str(properties.restored) for word in ("Sao_Paulo", "escape", "pedidos; e"))
