"""What makes a server look like a managed one: its own superuser, a certificate, and extensions others lack."""

import ipaddress
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from desbuquei_backups.embedded.home import Home
from desbuquei_backups.embedded.place import Place

__all__ = ["SUPERUSER", "add_extensions", "ensure_certificate"]

SUPERUSER = "supabase_admin"
EXTENSIONS = Path(__file__).parent / "samples" / "extensions"
_VALIDITY = timedelta(days=3650)


def add_extensions(programs: Path, extensions: Path = EXTENSIONS) -> None:
    """Copy the samples' extension files into this installation's share/extension; none is no error."""
    target = programs / "share" / "extension"
    for pattern in ("*.control", "*.sql"):
        for file in extensions.glob(pattern):
            (target / file.name).unlink(missing_ok=True)  # it may be a link to the wheel's own file
            shutil.copyfile(file, target / file.name)
            (target / file.name).chmod(0o644)


def ensure_certificate(home: Home, place: Place, folder: Path) -> Path:
    """The certificate that clients trust; it and its key are made on the first call and kept beside the cluster."""
    trusted = home.path / "supabase-ca.crt"
    if trusted.exists() and (folder / "server.key").exists() and (folder / "server.crt").exists():
        return trusted
    certificate, key = _self_signed(datetime.now(UTC))
    place.write(folder / "server.key", key)
    place.write(folder / "server.crt", certificate)
    trusted.write_text(certificate)
    trusted.chmod(0o644)
    return trusted


def _self_signed(now: datetime) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desbuquei embedded")])
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
