"""A connection that is taken for a private one, and is not, is read by whoever is on the way."""

import pytest

from desbuquei_backups.core.transport import Transport, transport


@pytest.mark.parametrize(
    "host", [None, "", "/var/run/postgresql", "localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"]
)
def test_what_stays_on_this_machine_needs_no_encryption(host: str | None) -> None:
    assert transport(host, encrypted=False) is Transport.LOCAL
    assert transport(host, encrypted=True) is Transport.TLS


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "db.example.com", "localhost.example.com", "192.0.2.7", "2001:db8::1", "1270.0.0.1"]
)
def test_what_leaves_this_machine_in_the_clear_is_said(host: str) -> None:
    assert transport(host, encrypted=False) is Transport.CLEAR
    assert transport(host, encrypted=True) is Transport.TLS
