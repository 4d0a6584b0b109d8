"""What is lost between the dump and the restored copy must be named, each thing by itself, with how it differs."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import restored_copy, soundness
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.amcheck import unsound
from desbuquei_backups.postgres.plain_dump import Found
from desbuquei_backups.postgres.programs import Programs
from desbuquei_backups_tests.operations.losses import line_of
from desbuquei_backups_tests.operations.test_restored_copy import remade, uncompared, wrong
from desbuquei_backups_tests.operations.tiers import back_up, fill


@pytest.fixture
def vandal(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Site]:
    """A function that gives a site in whose restored copies that SQL is run before anything is compared."""
    load = restored_copy.load

    def harmed_by(sql: str) -> Site:
        def harmed(programs: Programs, parameters: Mapping[str, Any], *given: Any) -> Found:
            found = load(programs, parameters, *given)
            with psycopg.connect(**parameters, autocommit=True) as copy:
                copy.execute(sql)
            return found

        monkeypatch.setattr(restored_copy, "load", harmed)
        return site

    return harmed_by


LOSSES = {
    "index": ("drop index por_valor", "INDEX public.por_valor", "not in the restored copy"),
    "constraint": (
        "alter table pedidos drop constraint positivo",
        "TABLE public.pedidos",
        "-    CONSTRAINT positivo CHECK",
    ),
    "key": (
        "alter table pedidos drop constraint pedidos_cliente_fkey",
        "FK CONSTRAINT .*cliente_fkey",
        "not in the res",
    ),
    "grant": ("revoke select on clientes from public", "ACL public.TABLE clientes", "not in the restored copy"),
    "trigger": ("drop trigger avisa on pedidos", "TRIGGER public.pedidos avisa", "not in the restored copy"),
    "comment": ("comment on table clientes is 'outra'", "COMMENT public.TABLE clientes", r"-.*quem compra"),
    "owner": (
        "alter table vazia owner to pg_monitor",
        "TABLE public.vazia",
        r"\+ALTER TABLE public.vazia OWNER TO pg_mon",
    ),
    "extension": ("drop extension citext", "EXTENSION citext", "not in the restored copy"),
    "sequence": ("select setval('clientes_id_seq', 3)", "sequence public.clientes_id_seq", "differs"),
    "large object": ("select lo_unlink(oid) from pg_largeobject_metadata", "large objects", "differs"),
    "view": ("drop view caros", "VIEW public.caros", "not in the restored copy"),
}


def test_each_thing_that_is_lost_is_named_with_how_it_differs(vandal, shop, slot: Slot) -> None:
    shop.execute(
        "create extension citext; create index por_valor on pedidos (valor);"
        "alter table pedidos add constraint positivo check (valor > 0); grant select on clientes to public;"
        "create function avisa() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger avisa before insert on pedidos for each row execute function avisa();"
        "create view caros as select * from pedidos where valor > 40; comment on table clientes is 'quem compra'"
    )
    site = vandal(";".join(sql for sql, _, _ in LOSSES.values()))
    back_up(site, slot)
    found = wrong(prove(site, slot))
    for name, (_, subject, why) in LOSSES.items():
        named = [how for each, how in found.items() if re.fullmatch(subject, each)]
        assert [how for how in named if re.search(why, how)], (name, named, sorted(found))
    assert line_of(site, slot)["recovery_tested"] is False


def test_a_table_that_is_lost_is_missing_in_counts_contents_and_schema(vandal, shop, slot: Slot) -> None:
    site = vandal("drop table vazia")
    back_up(site, slot)
    proof = prove(site, slot)
    for findings in (proof.row_counts, proof.contents, proof.schema):
        lost = [each for each in findings if each.verdict is Verdict.DIFFERS]
        assert [each.subject.removeprefix("TABLE ") for each in lost] == ["public.vazia"]
        assert lost[0].why == "not in the restored copy"


@pytest.mark.parametrize(
    ("rows", "why"), [(41, "-1 rows"), (None, "not known of the source")], ids=["one too many", "NULL"]
)
def test_a_fingerprint_that_agrees_hides_no_count_that_does_not(site: Site, shop, slot: Slot, rows, why: str) -> None:
    tables = fill(site, slot).manifest.tables
    counted = [each.model_copy(update={"rows": rows}) if each.identity == "public.pedidos" else each for each in tables]
    remade(site, slot, tables=counted)
    proof = prove(site, slot)
    assert {each.subject: each.why for each in proof.row_counts if each.verdict is Verdict.DIFFERS} == {
        "public.pedidos": why
    }
    assert not [each for each in proof.contents if each.verdict is not Verdict.MATCHES]
    assert proof.verdict is Verdict.DIFFERS


def test_an_index_that_no_query_uses_is_named_and_so_is_one_that_is_out_of_order(vandal, shop, slot: Slot) -> None:
    shop.execute(
        "create function ordem(int, int) returns int language sql immutable as 'select $1 - $2';"
        "create operator class estranha for type int using btree as operator 1 <, operator 2 <=, operator 3 =,"
        " operator 4 >=, operator 5 >, function 1 ordem(int, int);"
        "create index torto on pedidos (id estranha); create index por_valor on pedidos (valor)"
    )
    site = vandal(
        "create or replace function ordem(int, int) returns int language sql immutable as 'select $2 - $1';"
        "update pg_index set indisvalid = false where indexrelid = 'por_valor'::regclass"
    )
    back_up(site, slot)
    proof = prove(site, slot)
    found = {each.subject: each for each in proof.soundness if each.verdict is Verdict.DIFFERS}
    assert set(found) == {"INDEX public.por_valor", "pg_amcheck: public.torto"}
    assert found["INDEX public.por_valor"].why == "no query of public.pedidos uses it"
    assert "item order invariant violated" in found["pg_amcheck: public.torto"].why
    assert line_of(site, slot)["status"] == "failed"


def test_a_sound_copy_is_said_to_be_sound_with_what_was_looked_at(site: Site, shop, slot: Slot) -> None:
    back_up(site, slot)
    proof = prove(site, slot)
    assert [(each.subject, each.verdict) for each in proof.soundness] == [
        ("invalid indexes", Verdict.MATCHES),
        ("pg_amcheck", Verdict.MATCHES),
    ]
    assert proof.soundness[0].why == "2 are valid"


@pytest.mark.parametrize("lacking", ["extension", "program"])
def test_where_amcheck_is_not_at_hand_nothing_is_claimed_of_pages(
    site: Site, shop, slot: Slot, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def missing(*_: object) -> dict[str, str]:
        raise ToolFailed("pg_amcheck is not installed here", remedy="install it")

    if lacking == "program":
        monkeypatch.setattr(soundness.amcheck, "check", missing)
    else:
        monkeypatch.setattr(soundness.amcheck, "install", lambda connection: "the server has not the extension amcheck")
    back_up(site, slot)
    proof = prove(site, slot)
    assert wrong(proof) == {}
    assert "amcheck" in uncompared(proof)["pg_amcheck"]


def test_what_pg_amcheck_says_is_read_object_by_object() -> None:
    said = (
        'heap table "db.public.a b", block 3, offset 1:\n    xmin 5 precedes\n'
        'btree index "db.public.i":\n    ERROR:  item order invariant violated for index "i"\n    DETAIL:  Lower\n'
        'heap table "db.public.a b", block 4:\n    line pointer\n'
    )
    assert unsound(said) == {
        "public.a b": "xmin 5 precedes\nline pointer",
        "public.i": 'ERROR:  item order invariant violated for index "i"\nDETAIL:  Lower',
    }
