"""What never got into the dump is missing from its own definitions too: nobody would notice until it is needed."""

import gzip
import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import snapshot_dump
from desbuquei_backups.operations.comparing_objects import COUNTS
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.plain_dump import PlainDumpReader
from desbuquei_backups.validation.checks import dump_is_complete
from desbuquei_backups_tests.operations.test_restored_copy import remade, uncompared, wrong
from desbuquei_backups_tests.operations.tiers import back_up, fill

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

# What is cut out of the dump, by its entries' names, and what the verdict must say then. The table's column is gone
# with those of the view, and what everybody may do with a function and a type with the grant.
_CUT = {
    "INDEX por_valor": {"objects in public: index": "-1"},
    "FK CONSTRAINT pedidos pedidos_cliente_fkey": {"objects in public: foreign key": "-1"},
    "CONSTRAINT clientes clientes_pkey": {"objects in public: primary key": "-1"},
    "TRIGGER pedidos avisa": {"objects in public: trigger": "-1"},
    "VIEW caros": {"objects in public: view": "-1", "objects in public: column": "-4"},
    "POLICY clientes quem": {"objects in public: policy": "-1"},
    "RULE vazia nada": {"objects in public: rule": "-1"},
    "FUNCTION soma(integer, integer)": {"objects in public: function": "-1"},
    "TYPE cor": {"objects in public: type": "-1"},
    "EVENT TRIGGER ao_criar": {"objects in no schema: event trigger": "-1"},
    "PUBLICATION tudo": {"objects in no schema: publication": "-1"},
    "ACL TABLE clientes": {"objects in public: grantee": "-3"},
    "SEQUENCE senhas": {"objects in public: sequence": "-1", "sequence public.senhas": "not in the restored copy"},
    "SEQUENCE SET senhas": {},
    "TABLE vazia": {"objects in public: table": "-1", "public.vazia": "not in the restored copy"},
    "TABLE DATA vazia": {},
    "SCHEMA arquivo": {"objects in no schema: schema": "-1", "objects in arquivo: owned by postgres": "-1"},
    "EXTENSION citext": {"version of extension citext": "not in the restored copy"},
    "COMMENT EXTENSION citext": {},
}  # fmt: skip


def cut(plain: bytes) -> bytes:
    left = PlainDumpReader(keep=lambda entry: f"{entry.kind} {entry.name}" not in _CUT)
    return b"".join(left.feed(plain))


def test_what_is_cut_out_of_the_dump_with_a_manifest_that_agrees_is_missed(site: Site, shop, slot: Slot) -> None:
    shop.execute(
        "create index por_valor on pedidos (valor); create view caros as select * from pedidos where valor > 40;"
        "create function avisa() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger avisa before insert on pedidos for each row execute function avisa();"
        "create policy quem on clientes; create rule nada as on insert to vazia do instead nothing;"
        "create function soma(int, int) returns int language sql as 'select $1 + $2'; create type cor as enum ('azul');"
        "create function ao_criar() returns event_trigger language plpgsql as 'begin end';"
        "create event trigger ao_criar on ddl_command_end execute function ao_criar(); create publication tudo;"
        "grant select on clientes to public; create sequence senhas; create schema arquivo; create extension citext"
    )
    remade(site, slot, cut)
    proof = prove(site, slot)
    found = wrong(proof)
    expected = {subject: why for each in _CUT.values() for subject, why in each.items()}
    assert expected.items() <= found.items(), expected.items() - found.items()
    assert not [subject for subject in found if re.match("INDEX|FK|TRIGGER|VIEW|POLICY|RULE|FUNCTION", subject)]
    assert {each.subject for each in proof.tables if each.verdict is Verdict.DIFFERS} == {"public.vazia"}


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pg_dump that writes no index and no trigger."""
    dump = snapshot_dump.logical.dump

    def forgotten(*given: Any, **named: Any) -> Iterator[bytes]:
        left = PlainDumpReader(keep=lambda entry: entry.kind not in ("INDEX", "TRIGGER"))
        for chunk in dump(*given, **named):
            yield from left.feed(chunk)

    monkeypatch.setattr(snapshot_dump.logical, "dump", forgotten)


@pytest.mark.usefixtures("forgetful")
def test_what_pg_dump_does_not_write_is_named_when_it_is_dumped_and_when_it_is_proven(site: Site, shop, slot) -> None:
    shop.execute(
        'create index "por ""valor""" on pedidos (valor);'
        "create function avisa() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger avisa before insert on pedidos for each row execute function avisa()"
    )
    back_up(site, slot)
    lost = ['index public."por ""valor"""', "trigger avisa on public.pedidos"]
    judged = dump_is_complete(fill(site, slot).manifest)
    assert judged.verdict is Verdict.UNCOMPARED
    assert {each.subject: each.why for each in judged.findings if each.verdict is Verdict.UNCOMPARED} == dict.fromkeys(
        lost, "pg_dump did not write it"
    )
    found = wrong(prove(site, slot))
    assert found == dict.fromkeys(lost, "pg_dump did not write it") | {
        "objects in public: index": "-1",
        "objects in public: trigger": "-1",
    }


@pytest.mark.parametrize(
    ("facts", "subject", "why"),
    [
        ({"objects": None}, COUNTS, "manifest does not say how many there were"),
        ({"version": "0.9"}, "version of extension citext", "0.9 in the source, 1.6 on the restore server"),
    ],
    ids=["an older manifest", "another version of an extension"],
)
def test_what_cannot_be_compared_is_neither_green_nor_red(
    site: Site, shop: psycopg.Connection, slot: Slot, facts: Mapping[str, Any], subject: str, why: str
) -> None:
    shop.execute("create extension citext")
    if "version" in facts:
        needs = fill(site, slot).manifest.requirements
        facts = {"requirements": [each.model_copy(update=facts) if each.name == "citext" else each for each in needs]}
    remade(site, slot, **facts)
    proof = prove(site, slot)
    assert wrong(proof) == {}
    assert list(uncompared(proof)) == [subject]
    assert why in uncompared(proof)[subject]
    assert proof.verdict is Verdict.UNCOMPARED


def test_an_index_that_is_invalid_in_the_source_is_named_with_the_way_to_mend_it(site: Site, shop, slot: Slot) -> None:
    shop.execute("insert into vazia values (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.execute("create unique index concurrently um_so on vazia (a)")
    back_up(site, slot)
    judged = dump_is_complete(fill(site, slot).manifest)
    assert judged.verdict is Verdict.UNCOMPARED
    (said,) = [each for each in judged.findings if each.verdict is Verdict.UNCOMPARED]
    assert said.subject == "index public.um_so"
    assert said.why.endswith("REINDEX INDEX CONCURRENTLY public.um_so; or DROP INDEX CONCURRENTLY public.um_so;")
    assert "no query of public.vazia uses it" in said.why
    assert wrong(prove(site, slot)) == {}


def test_the_copy_of_another_backup_is_told_by_every_table_that_has_changed(site: Site, shop, slot: Slot) -> None:
    dump = site.settings.folder / fill(site, slot).manifest.dump.name
    other = gzip.decompress(dump.read_bytes())
    dump.unlink()
    shop.execute("delete from pedidos where id > 30; insert into vazia values (1); create table nova (a int)")
    remade(site, slot, lambda _: other)
    found = {each.subject: each.why for each in prove(site, slot).row_counts if each.verdict is Verdict.DIFFERS}
    assert found == {
        "public.backup_logs": "not in the restored copy",  # our own, made by the first backup
        "public.nova": "not in the restored copy",
        "public.pedidos": "+10 rows",
        "public.vazia": "-1 rows",
    }
