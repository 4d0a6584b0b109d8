"""Who may write to the bucket must not be able to write the chain of evidence anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.evidence import link_key, parse_link
from desbuquei_backups.core.evidence_walk import Fault
from desbuquei_backups.operations.chain_audit import Audited, audit
from desbuquei_backups.operations.daily_audit import audit_today
from desbuquei_backups.operations.doctor_evidence import evidence
from desbuquei_backups.operations.evidence import owed, send, try_to_send
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.signing_keys import read_public_keys
from desbuquei_backups_tests.conftest import MakeSite
from desbuquei_backups_tests.keys import SigningPair, new_signing_pair
from desbuquei_backups_tests.operations.chains import content_of, links, overwrite, told
from desbuquei_backups_tests.operations.test_evidence import say


@pytest.fixture
def pair(tmp_path: Path) -> SigningPair:
    return new_signing_pair(tmp_path)


def signing(site: Site, pair: SigningPair | None, public: Path | None = None) -> Site:
    """The same site with that key; `public`: the file of the keys that may sign."""
    secret = pair.secret if pair is not None else None
    return replace(site, settings=replace(site.settings, signing_key=secret, public_keys=public))


def named(done: Audited) -> list[tuple[Fault, int | None]]:
    return [(each.fault, each.sequence) for each in done.breaks]


def test_from_the_day_that_a_key_is_there_every_link_is_signed(make_site: MakeSite, pair: SigningPair) -> None:
    host = make_site(None)
    told(host, 1)
    told(signing(host, pair), 2)
    assert [link.signature is not None for link in links(host.bucket)] == [False, False, True, True]
    auditor = make_site(None)
    done = audit(auditor, keys=read_public_keys(pair.public))
    assert (done.whole, done.signed, done.signed_since, done.keys) == (True, 2, 3, 1)
    assert audit(auditor).whole


def test_a_host_that_lost_its_key_is_found_by_the_daily_audit(make_site: MakeSite, pair: SigningPair) -> None:
    host = signing(make_site(None), pair, pair.public)
    told(host, 1)
    assert audit_today(host).whole
    told(signing(host, None), 2)
    assert named(audit_today(host)) == [(Fault.UNSIGNED, 3)]


def test_a_chain_stripped_of_all_its_signatures_is_named(make_site: MakeSite, pair: SigningPair) -> None:
    host = signing(make_site(None), pair)
    told(host, 1, 2)
    before = links(host.bucket)
    for link in before:
        host.bucket.delete(link_key(link.sequence))
    forger = replace(make_site(None), settings=replace(make_site(None).settings, backup_dir=pair.secret.parent / "f"))
    told(forger, 1, 2)
    assert audit(forger).whole
    assert named(audit(forger, keys=read_public_keys(pair.public))) == [(Fault.UNSIGNED, 1)]


def test_a_last_link_that_was_edited_needs_no_anchor_to_be_found(make_site: MakeSite, pair: SigningPair) -> None:
    host = signing(make_site(None), pair)
    told(host, 1, 2)
    overwrite(host.bucket, link_key(4), content_of(host.bucket, link_key(4)).replace(b'"daily"', b'"weekly"', 1) + b" ")
    assert named(audit(host, keys=read_public_keys(pair.public))) == [(Fault.BAD_SIGNATURE, 4)]


def test_with_a_key_that_cannot_be_read_nothing_is_said_unsigned(make_site: MakeSite, pair: SigningPair) -> None:
    pair.secret.chmod(0o644)
    host = signing(make_site(None), pair)
    say(host, "um")
    try_to_send(host)  # no backup is kept from being taken by it
    with pytest.raises(ConfigurationError, match="others may read"):
        send(host)
    assert (len(owed(host)), links(host.bucket)) == (1, [])
    pair.secret.chmod(0o600)
    healed = signing(make_site(None), pair)
    assert send(healed) == 1
    assert parse_link(content_of(host.bucket, link_key(1)), where="x").signature is not None


def test_the_doctor_says_of_a_key_that_the_audit_does_not_know(make_site: MakeSite, pair: SigningPair, tmp_path):
    other = new_signing_pair(tmp_path, "other")
    said = {
        public: next(iter(evidence(signing(make_site(None), key, public)))).outcome
        for key, public in ((None, None), (pair, pair.public), (pair, other.public))
    }
    assert [str(each) for each in said.values()] == ["not applicable", "ok", "failure"]
