"""The samples in Prometheus's text format: printed, as a node-exporter text file, or served on loopback."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.metric_names import KINDS, Sample
from desbuquei_backups.storage import disk

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

Collect = Callable[[], Sequence[tuple[str, Sequence[Sample]]]]
_ALL_MAY_READ = 0o644


class _Collector:
    """Collects when it is asked, and no more often than every so many seconds, however many ask."""

    def __init__(self, collect: Collect, keep_seconds: float) -> None:
        self._collect, self._keep = collect, keep_seconds
        self._lock = threading.Lock()
        self._collected: list[Metric] = []
        self._at = -keep_seconds

    def collect(self) -> "Iterator[Metric]":
        with self._lock:
            if time.monotonic() - self._at >= self._keep:
                self._collected = list(families(self._collect()))
                self._at = time.monotonic()
            yield from self._collected


def families(found: Sequence[tuple[str, Sequence[Sample]]]) -> "Iterator[Metric]":
    """The samples of several databases, by metric, as prometheus_client wants them."""
    from prometheus_client.core import GaugeMetricFamily

    for name, kind in KINDS.items():
        family = GaugeMetricFamily(name, kind.said, labels=kind.labels)
        for database, samples in found:
            for sample in samples:
                if sample.name == name:
                    labels = {"database": database, **sample.labels}
                    family.add_metric([labels[label] for label in kind.labels], sample.value)
        yield family


def registry(collect: Collect, *, keep_seconds: float = 0) -> "CollectorRegistry":
    """A registry that has our metrics alone."""
    from prometheus_client import CollectorRegistry

    made = CollectorRegistry(auto_describe=False)
    made.register(_Collector(collect, keep_seconds))
    return made


def text(collect: Collect) -> bytes:
    """The metrics as they are now."""
    from prometheus_client import generate_latest

    return generate_latest(registry(collect))


def write_textfile(path: Path, content: bytes) -> None:
    """Replace a text file of node-exporter's at once; its user, who is another, may read it. DiskError."""
    with disk.aside(path) as partial, disk.disk_errors(partial), partial.open("wb", buffering=0) as file:
        disk.write_all(file, content)
        os.fchmod(file.fileno(), _ALL_MAY_READ)
        os.fsync(file.fileno())


class Served:
    """A server of the metrics; it stops when the block ends. ConfigurationError if it cannot listen there."""

    def __init__(self, collect: Collect, host: str, port: int, *, keep_seconds: float) -> None:
        self._made, self._host, self._port = registry(collect, keep_seconds=keep_seconds), host, port

    def __enter__(self) -> int:
        """The port that it listens on."""
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(self._port, addr=self._host, registry=self._made)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}",
                remedy="choose another port, or an address of this machine",
            ) from None
        return int(self._server.server_port)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
