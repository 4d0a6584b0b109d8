"""A signing key that others may read signs for them too; one that is none must not let unsigned links pass."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.storage.signing_keys import SigningKey, read_public_keys
from desbuquei_backups_tests.keys import new_signing_pair


def test_a_key_has_the_id_that_openssl_tells_and_nothing_of_it_is_shown(tmp_path: Path) -> None:
    pair = new_signing_pair(tmp_path)
    key = SigningKey.read(pair.secret)
    der = load_pem_public_key(pair.public.read_bytes()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.key_id == hashlib.sha256(der).hexdigest()
    assert repr(key) == f"SigningKey(where={str(pair.secret)!r})"
    public = read_public_keys(pair.public)[key.key_id]
    assert public.verifies(b"a", key.sign(b"a"))
    assert not public.verifies(b"b", key.sign(b"a"))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    pair = new_signing_pair(tmp_path)
    pair.secret.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read") as caught:
        SigningKey.read(pair.secret)
    assert caught.value.remedy.startswith("chmod 600")


def _with_passphrase(path: Path) -> bytes:
    key = load_pem_private_key(new_signing_pair(path.parent, "inner").secret.read_bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"segredo"))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "passphrase", "another kind"])
def test_what_is_no_key_is_refused_and_never_repeated(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    elliptic = generate_private_key(SECP256R1())
    contents = {
        "empty": b"",
        "text": b"segredo",
        "passphrase": _with_passphrase(path),
        "another kind": elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    if kind in contents:
        path.touch(mode=0o600)
        path.write_bytes(contents[kind])
    with pytest.raises(ConfigurationError) as caught:
        SigningKey.read(path)
    assert "segredo" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        read_public_keys(path)
