"""moto's S3 server, for what the embedded one has none of: thaws, keys, public access."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

from moto.server import ThreadedMotoServer


@contextmanager
def moto_server() -> Iterator[str]:
    """Its endpoint; whatever was stored, policies included, is gone after, for all of them share one memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        yield url
    finally:
        with urlopen(Request(f"{url}/moto-api/reset", b"{}", {"Content-Type": "application/json"})) as answer:  # noqa: S310
            assert answer.status == 200
        server.stop()
