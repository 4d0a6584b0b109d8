"""What the bucket lists, read straight out of its answers: boto3's own parser takes ten times as long."""

import html
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ENTRIES = "Entries"
_QUICKLY: ContextVar[bool] = ContextVar("quickly", default=False)
_FIRST, _LAST, _FOLDER = "<Contents>", "</Contents>", "<CommonPrefixes>"
_KEY, _SIZE, _CLASS = (re.compile(f"<{name}>([^<]+)</{name}>") for name in ("Key", "Size", "StorageClass"))
_PLAIN = re.compile(r"[\w/.-]+", re.ASCII).fullmatch  # a key that is written as it is, whatever it is written in


class Entry(NamedTuple):
    """An object as a listing tells it. `size` is bytes, `storage_class` what the store calls it."""

    key: str
    size: int
    storage_class: str


def read_quickly(client: "S3Client") -> None:
    """Let `entries` read the client's listings so; those that anybody else asks for stay boto3's."""
    # By the asterisk it comes before boto3's own handler, which would parse all of it to see whether it is an error.
    client.meta.events.register("before-parse.*.ListObjectsV2", _read)


def entries(
    client: "S3Client", bucket: str, prefix: str, *, after: str = "", delimiter: str = "", at_once: int = 1000
) -> Iterator[Entry]:
    """The objects whose keys begin so, in the order of their keys, from the one after `after` on.

    With a delimiter, those that have it in the rest of their keys are left out. `at_once`: so many are asked for at a
    time, at most 1000.
    """
    pages = _pages(client, at_once, Bucket=bucket, Prefix=prefix, StartAfter=after, Delimiter=delimiter)
    while (page := _next(pages)) is not None:
        yield from page.get(_ENTRIES, ())
        yield from map(_of_boto3, page.get("Contents", ()))


def folders(client: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    """The keys that begin so, cut after the next slash, each once."""
    for page in _pages(client, 1000, Bucket=bucket, Prefix=prefix, Delimiter="/"):
        yield from (each["Prefix"] for each in page.get("CommonPrefixes", ()))


def _pages(client: "S3Client", at_once: int, **asked: str) -> Iterator[Any]:
    given: Any = {name: value for name, value in asked.items() if value}
    pages = client.get_paginator("list_objects_v2")
    yield from pages.paginate(**given, PaginationConfig={"PageSize": at_once})


def _next(pages: Iterator[Any]) -> Any:
    token = _QUICKLY.set(True)
    try:
        return next(pages, None)
    finally:
        _QUICKLY.reset(token)


def _read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Take the objects out of an answer before boto3 parses the rest; what is not written as S3 does is left to it."""
    if response_dict["status_code"] != 200 or not _QUICKLY.get():
        return
    text = response_dict["body"].decode(errors="replace")
    start, end = text.find(_FIRST), text.rfind(_LAST) + len(_LAST)
    told = [element.findall(text, start, end) for element in (_KEY, _SIZE, _CLASS)]
    if start < 0 or {text.count(_FIRST), *map(len, told)} != {len(told[0])} or text.find(_FOLDER, start, end) >= 0:
        return
    decoded = unquote_plus if "<EncodingType>url<" in text else html.unescape
    customized_response_dict[_ENTRIES] = [
        Entry(key if _PLAIN(key) else decoded(key), int(size), intern(storage_class))
        for key, size, storage_class in zip(*told, strict=True)
    ]
    response_dict["body"] = (text[:start] + text[end:]).encode()


def _of_boto3(each: Mapping[str, Any]) -> Entry:
    return Entry(each["Key"], each.get("Size", 0), each.get("StorageClass", "STANDARD"))
