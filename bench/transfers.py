"""One object up or down, by one of those who are compared; runs in a process of its own and prints one line of JSON.

What each checks by its defaults, as its requests over plain HTTP show: ours sends the SHA-256 of each part, and has all
of them compared with the manifest's before the object is made. boto3 sends each part's CRC-32, and hashes it again for
the signature, unless it is tuned. s5cmd and rclone send each part's MD5 and hash it again for the signature, and rclone
reads the whole for its MD5 beforehand. Of what comes down ours alone checks every byte.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

OURS = "ours"
PROGRAMS = ("s5cmd", "rclone")
UP, DOWN, RAW = "upload", "download", "download without hashing"
_MIB = 1024 * 1024
_TUNED = 32 * _MIB, 3  # bytes of a part, and how many at once
_ENDPOINT = "AWS_ENDPOINT_URL_S3"


def program(name: str) -> str | None:
    """Where a program is: beside this interpreter, as wheels put it, or on PATH."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def program_version(name: str) -> str:
    said = subprocess.run([str(program(name)), "version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].removeprefix(name).strip().partition("-")[0]


def _ours(what: str, url: str, path: Path) -> Callable[[], object]:
    from desbuquei_backups.core.tiers import StorageClass
    from desbuquei_backups.storage.s3 import Bucket
    from desbuquei_backups.storage.stream import checksums_of

    folder, _, key = url.rpartition("/")
    bucket = Bucket(folder)
    bucket.check()
    if what == UP:
        known = checksums_of(path, plain_size=0)  # as a manifest has them beforehand
        sums: dict[str, Any] = {"sha256": known.sha256, "parts_sha256": known.parts_sha256}
        return lambda: bucket.put_file(key, path, **sums, storage_class=StorageClass.STANDARD, tags={})
    hasher = hashlib.sha256()

    def read() -> None:
        for chunk in bucket.read(key):
            if what == DOWN:
                hasher.update(chunk)

    return read


def _boto3(what: str, url: str, path: Path, *, tuned: bool) -> Callable[[], object]:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    parts = urlsplit(url)
    client: Any = boto3.client("s3", config=Config(s3={"payload_signing_enabled": False}) if tuned else None)
    client.head_bucket(Bucket=parts.netloc)
    size, at_once = _TUNED
    given = {"multipart_threshold": size, "multipart_chunksize": size, "max_concurrency": at_once}
    config, where = TransferConfig(**given if tuned else {}), (parts.netloc, parts.path.strip("/"))
    if what == UP:
        options = {"ServerSideEncryption": "AES256"}
        return lambda: client.upload_file(str(path), *where, ExtraArgs=options, Config=config)
    return lambda: client.download_file(*where, str(path), Config=config)


def _s5cmd(what: str, url: str, path: Path) -> Callable[[], object]:
    given = ["--sse", "AES256", str(path), url] if what == UP else [url, str(path)]
    return lambda: _run([str(program("s5cmd")), "cp", *given], {"S3_ENDPOINT_URL": os.environ.get(_ENDPOINT, "")})


def _rclone(what: str, url: str, path: Path) -> Callable[[], object]:
    endpoint, region = os.environ.get(_ENDPOINT, ""), os.environ.get("AWS_REGION", "us-east-1")
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other" if endpoint else "AWS",
        "ENV_AUTH": "true",
        "ENDPOINT": endpoint,
        "REGION": region,
        "SERVER_SIDE_ENCRYPTION": "AES256",
        "NO_CHECK_BUCKET": "true",
    }
    settings = {f"RCLONE_CONFIG_BENCH_{name}": value for name, value in remote.items() if value}
    far = "bench:" + url.removeprefix("s3://")
    given = [str(path), far] if what == UP else [far, str(path)]
    return lambda: _run([str(program("rclone")), "copyto", *given], {"RCLONE_CONFIG": os.devnull, **settings})


def _run(command: list[str], settings: Mapping[str, str]) -> None:
    given = {name: value for name, value in settings.items() if value}
    subprocess.run(command, env=os.environ | given, stdout=subprocess.DEVNULL, check=True)


WAYS: Mapping[str, Callable[[str, str, Path], Callable[[], object]]] = {
    OURS: _ours,
    "boto3": lambda *given: _boto3(*given, tuned=False),
    "boto3, 3 × 32 MiB": lambda *given: _boto3(*given, tuned=True),
    "s5cmd": _s5cmd,
    "rclone": _rclone,
}


def peak_bytes() -> int:
    """This process's own peak: unlike getrusage's, it has nothing of the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def main(who: str, what: str, url: str, path: str) -> None:
    """Start-up is not counted, but that of a program, which is a hundredth of the whole."""
    work = WAYS[who](what, url, Path(path))
    begun = time.perf_counter()
    work()
    wall = time.perf_counter() - begun
    sys.stdout.write(json.dumps({"wall": wall, "peak_bytes": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
