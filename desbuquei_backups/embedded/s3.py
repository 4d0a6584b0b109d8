"""The S3 server: SeaweedFS's `weed mini` with every port named, and credentials that it checks."""

import http.client
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from desbuquei_backups.embedded.endpoints import S3Server
from desbuquei_backups.embedded.errors import EmbeddedError, log_tail
from desbuquei_backups.embedded.home import Home, locked
from desbuquei_backups.embedded.place import Place
from desbuquei_backups.embedded.ports import DERIVED, LOOPBACK, pick
from desbuquei_backups.embedded.programs import weed
from desbuquei_backups.postgres.process import Process

__all__ = ["start", "stop"]

BUCKET = "desbuquei-backups"
ACCESS_KEY = "desbuquei"
REGION = "us-east-1"
# The admin's gRPC port must stay unnamed: the built-in worker looks for it 10,000 above the admin's port.
_PORTS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "admin.port",
)  # fmt: skip
_ATTEMPTS = 5
_START_PATIENCE = 60.0
_WRITE_PATIENCE = 10.0
# On a full disk it does not heed SIGTERM at all; SIGKILL loses nothing that it acknowledged.
_STOP_PATIENCE = 5.0


def start(home: Home, place: Place) -> tuple[Process, S3Server]:
    """Start the server and return when its bucket can be read and written. EmbeddedError if it won't."""
    folder = place.folder("s3")
    log = home.log("s3")
    program = place.within_reach(weed(), weed())
    secret = home.secret("s3")
    with locked(home.lock("s3"), _STOP_PATIENCE * 2) as lock:
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        data = folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        place.give(data)
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": secret}]
        identity = {
            "name": "admin",
            "credentials": credentials,
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        place.write(folder / "s3.json", json.dumps({"identities": [identity]}))
        ports = list(home.read("ports").get("s3", ()))
        for _ in range(_ATTEMPTS):
            ports = pick(len(_PORTS), ports)
            _sweep(ports)
            process = Process(
                _command(program, ports),
                folder=folder,
                log=log,
                lock=lock,
                account=place.account,
                # Without a limit its memory grows to more than 1 GB under multipart uploads.
                environment={"GOMEMLIMIT": f"{_memory_mib()}MiB", "TMPDIR": str(folder)},
            )
            named = dict(zip(_PORTS, ports, strict=True))
            if _answers(process, named, secret):
                home.write("ports", {"s3": ports})
                url = f"http://{LOOPBACK}:{named['s3.port']}"
                return process, S3Server(url, ACCESS_KEY, secret, REGION, BUCKET)
            said = log.read_text(errors="replace")
            if "is not available" not in said and "address already in use" not in said:
                break
            ports = []
    raise EmbeddedError(
        f"The embedded S3 server did not start. {log_tail(log)}",
        remedy="Mend what the log names (disk space, memory, permissions) and try again; "
        f"to begin anew with empty servers, move {home.path} away.",
    )


def stop(process: Process, home: Home) -> None:
    """Let it flush and leave; it is killed if it won't."""
    process.stop(signal.SIGTERM, _STOP_PATIENCE)
    _sweep(home.read("ports").get("s3", []))


def _sweep(ports: list[int]) -> None:
    """Remove what a gone server of these ports left in /tmp, where SeaweedFS insists on having its sockets."""
    for port in (*ports, *(port + DERIVED for port in ports[-1:])):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            with suppress(OSError):  # another user's
                path.unlink()


def _command(program: Path, ports: list[int]) -> list[str]:
    return [
        str(program),
        "-logtostderr=true",
        "mini",
        # Relative to its folder, as are the sockets: their paths may have 107 bytes at most.
        "-dir=data",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        *(f"-{name}={port}" for name, port in zip(_PORTS, ports, strict=True)),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.config=s3.json",
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        f"-bucket={BUCKET}",
        # Small volumes, and their number fixed: sized by the disk, an almost full one would have none to write to.
        "-master.volumeSizeLimitMB=64",
        "-volume.max=4096",
        "-volume.preStopSeconds=0",
        # A master that resumes its state isn't leader at once, so the volumes' first report is turned away and comes
        # again 5 s later; until then every read and write fails. What it needs to know it learns from the volumes.
        "-master.resumeState=false",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
    ]


def _answers(process: Process, ports: dict[str, int], secret: str) -> bool:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    def head_bucket() -> bool:
        request = AWSRequest("HEAD", f"http://{LOOPBACK}:{ports['s3.port']}/{BUCKET}")
        S3SigV4Auth(Credentials(ACCESS_KEY, secret), "s3", REGION).add_auth(request)
        return _request(ports["s3.port"], "HEAD", f"/{BUCKET}", dict(request.headers.items()))[0] == 200

    def can_write() -> bool:
        return b'"fid"' in _request(ports["master.port"], "GET", f"/dir/assign?collection={BUCKET}", {})[1]

    deadline = time.monotonic() + _START_PATIENCE
    readable = False
    while not process.ended.wait(0.03):
        if not readable and head_bucket():
            readable = True
            # With a full disk it can still be read, and pruned: then do not wait for ever. (The volumes report to the
            # master every 5 s.)
            deadline = time.monotonic() + _WRITE_PATIENCE
        if readable and (can_write() or time.monotonic() > deadline):
            return True
        if time.monotonic() > deadline:
            process.stop(signal.SIGTERM, _STOP_PATIENCE)
    return False


def _request(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _memory_mib() -> int:
    """What the server's heap may grow to: with less, uploads take twice as long; with no limit, it takes 1.1 GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return min(max(memory // 16, 256), 1024)
