"""How bytes travel between this host and a server: encrypted, within this machine, or for anybody on the way."""

import ipaddress
from enum import StrEnum


class Transport(StrEnum):
    """What of a connection can be known. CLEAR: it leaves this machine and is not encrypted."""

    TLS = "TLS"
    LOCAL = "within this machine"
    CLEAR = "in the clear"


def transport(host: str | None, *, encrypted: bool) -> Transport:
    """By the host's name or address; None, an empty one, or a path is a local socket."""
    if encrypted:
        return Transport.TLS
    if not host or host.startswith("/") or host == "localhost":
        return Transport.LOCAL
    try:
        local = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        local = False
    return Transport.LOCAL if local else Transport.CLEAR
