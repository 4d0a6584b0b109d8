"""What a shop asks of every restored copy: an order without a customer is restored as faithfully as any other."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.answers import Answer
from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import answering, proofs
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.invariants import asked
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.chains import content_of
from desbuquei_backups_tests.operations.losses import Watching, line_of
from desbuquei_backups_tests.operations.tiers import DAILY, TOGETHER, WEEKLY, back_up

SHOP = """
[invariants.orders_have_customers]
sql = "select id, cliente from pedidos where cliente is null order by id"
expect = "0 rows"

[invariants.orders_are_paid]
sql = "select id, valor from pedidos where valor > 48 order by id"
expect = "0 rows"

[invariants.orders_are_many]
sql = "select count(*) from pedidos"
expect = "between 30 and 50"
"""


@pytest.fixture
def asking(site: Site, tmp_path: Path):
    """A function that gives the site a file of invariants."""

    def with_invariants(text: str) -> Site:
        return replace(site, settings=replace(site.settings, invariants=asked(tmp_path, text)))

    return with_invariants


def by_name(answers: list[Answer]) -> dict[str, Finding]:
    return {each.name: each.findings[0] for each in answers}


def verdicts(answers: list[Answer]) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in by_name(answers).items()}


def test_which_rows_break_an_invariant_is_said_and_kept_beside_the_manifest(
    asking, shop, slot: Slot, bucket: Bucket
) -> None:
    site = asking(SHOP)
    (archived,) = back_up(site, slot)
    proof = prove(site, slot)
    assert verdicts(proof.invariants) == {
        "orders_have_customers": Verdict.MATCHES,
        "orders_are_paid": Verdict.DIFFERS,
        "orders_are_many": Verdict.MATCHES,
    }
    assert by_name(proof.invariants)["orders_are_paid"].why == "+2 rows:\nid=39, valor=48.75\nid=40, valor=50.00"
    kept = proofs.newest(bucket, slot.backup_id, dump_sha256=archived.manifest.dump.sha256)
    assert kept is not None
    assert list(kept.invariants) == proof.invariants
    # The copy is what the source was, which is what a restore needs.
    assert proof.verdict is Verdict.MATCHES
    assert (line_of(site, slot)["status"], line_of(site, slot)["recovery_tested"]) == ("success", True)


def test_rows_of_an_encrypted_backup_are_in_nothing_that_is_kept(
    asking, shop, slot: Slot, bucket: Bucket, tmp_path: Path
) -> None:
    shop.execute("update clientes set nome = 'Segredo' where id = 7")
    plain = asking('[invariants.nobody_is_named_so]\nsql = "select nome from clientes where id = 7"\nexpect = "0 rows"')
    key = new_key(tmp_path)
    site = replace(plain, settings=replace(plain.settings, age_recipients=(key.recipient,), age_identity=key.file))
    back_up(site, slot)
    (finding,) = by_name(prove(site, slot).invariants).values()
    assert finding.verdict is Verdict.DIFFERS
    kept = [content_of(bucket, name) for name in bucket.keys("daily/") if ".proof-" in name]
    assert kept
    assert not any(b"Segredo" in each for each in kept)


HARM = """
[invariants.typed_wrong]
sql = "select id from pedido where cliente is null"
expect = "0 rows"

[invariants.deletes]
sql = "delete from pedidos returning id"
expect = "0 rows"

[invariants.deletes_in_a_function]
sql = "select apaga()"
expect = "40"

[invariants.says_two_things]
sql = "select 1; drop table pedidos"
expect = "1"

[invariants.reads_the_host]
sql = "select pg_read_file('PG_VERSION')"
expect = "1 row"

[invariants.sees_no_password]
sql = "select rolpassword from pg_authid"
expect = "0 rows"

[invariants.takes_for_ever]
sql = "select count(*) from generate_series(1, 1000000000000)"
expect = "1"
timeout = "1 minute"

[invariants.returns_everything]
sql = "select i from generate_series(1, 200000) i"
expect = "200000 rows"

[invariants.still_there]
sql = "select count(*) from pedidos"
expect = "40"
"""


def test_a_question_that_is_wrong_writes_or_never_ends_harms_nothing(
    asking, shop, slot: Slot, scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute(
        "create function apaga() returns int language plpgsql as "
        "$$ declare n int; begin delete from public.pedidos; get diagnostics n = row_count; return n; end $$"
    )
    site = asking(HARM)
    site.settings.invariants["takes_for_ever"].__dict__["timeout"] = timedelta(milliseconds=300)
    back_up(site, slot)
    proof = prove(site, slot)
    found = by_name(proof.invariants)
    assert {name for name, each in found.items() if each.verdict is not Verdict.UNCOMPARED} == {"still_there"}
    assert found["still_there"].verdict is Verdict.MATCHES
    why = {name: each.why for name, each in found.items()}
    assert why["typed_wrong"] == 'relation "pedido" does not exist'
    assert "syntax error" in why["deletes"]
    assert "cannot execute DELETE in a read-only transaction" in why["deletes_in_a_function"]
    assert "multiple commands" in why["says_two_things"]
    assert "permission denied" in why["reads_the_host"]
    assert "permission denied" in why["sees_no_password"]
    assert "longer than" in why["takes_for_ever"]
    assert "more than 100,000 rows" in why["returns_everything"]
    assert proof.verdict is Verdict.MATCHES
    assert scratch.execute("select count(*) from pg_roles where rolname ~ '^desbuquei_reader'").fetchone() == (0,)


def test_rows_that_row_security_hides_are_found_wrong_all_the_same(asking, shop, slot: Slot) -> None:
    shop.execute(
        "create schema loja; set search_path = loja; create table itens (id int, preco int);"
        "insert into itens values (1, -5); alter table itens enable row level security;"
        "alter table itens force row level security; create policy nada on itens using (false);"
    )
    row = shop.execute("select current_database()").fetchone()
    shop.execute(f"alter database {row[0]} set search_path = loja, public")
    site = asking('[invariants.prices_are_positive]\nsql = "select * from itens where preco < 0"\nexpect = "0 rows"')
    back_up(site, slot)
    (finding,) = by_name(prove(site, slot).invariants).values()
    assert (finding.verdict, finding.why) == (Verdict.DIFFERS, "+1 rows:\nid=1, preco=-5")


AGES = """
[invariants.newest_order_is_recent]
sql = "select max(em) from eventos"
expect = "no older than 25 hours"

[invariants.none_is_of_the_future]
sql = "select em from eventos where em > :taken_at"
expect = "0 rows"
"""


@pytest.mark.usefixtures("together")
def test_an_age_is_that_at_the_snapshot_and_a_copy_takes_over_what_its_equal_answered(
    asking, shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("create table eventos (em timestamptz)")
    shop.execute("insert into eventos values (%s)", (TOGETHER - timedelta(hours=25, minutes=30),))
    site = asking(AGES)
    archived = back_up(site, DAILY, WEEKLY)
    taken_at = archived[0].manifest.taken_at
    clock.pass_by(days=3)  # a proof that is late asks of the snapshot all the same
    late = prove(site, DAILY)
    finding = by_name(late.invariants)["newest_order_is_recent"]
    assert (finding.verdict, f"at the snapshot, {taken_at:%Y-%m-%d %H:%M:%S} UTC" in finding.why) == (
        Verdict.DIFFERS,
        True,
    )
    assert by_name(late.invariants)["none_is_of_the_future"].verdict is Verdict.MATCHES

    def refuse(*_: object) -> None:
        raise AssertionError("it was asked again")

    monkeypatch.setattr(answering, "_asked", refuse)
    weekly = prove(site, WEEKLY)
    assert weekly.restored == DAILY.backup_id
    assert weekly.invariants == late.invariants


def test_a_restore_server_that_gives_no_such_role_leaves_the_copy_proven(
    asking, shop, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = asking(SHOP)
    back_up(site, slot)

    def refused(*_: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("permission denied to create role")

    monkeypatch.setattr(answering, "_reader", refused)
    proof = prove(site, slot)
    assert set(verdicts(proof.invariants).values()) == {Verdict.UNCOMPARED}
    assert "permission denied to create role" in by_name(proof.invariants)["orders_are_many"].why
    assert proof.verdict is Verdict.MATCHES


def test_without_invariants_no_role_is_made(site, shop, slot: Slot) -> None:
    watching = Watching()
    back_up(site, slot)
    assert prove(replace(site, progress=watching), slot).invariants == []
    assert "asking the invariants" not in watching.stages
