"""The pages of a WAL segment: whether a file is the segment that its name says, of the cluster that it should be of.

XLogPageHeaderData and XLogLongPageHeaderData of src/include/access/xlog_internal.h, as every machine that counts from
the low end writes them.
"""

import struct
from dataclasses import dataclass

from desbuquei_backups.core.wal import Segment

_SHORT = struct.Struct("<HHIQ")  # magic, flags, timeline, address
_LONG = struct.Struct("<HHIQI4xQII")  # and: bytes left of a record, system identifier, segment size, page size
_IS_LONG = 0x0002
HEADER_SIZE = _LONG.size


@dataclass(frozen=True, slots=True)
class FirstPage:
    """What the first page of a segment says of it; sizes are bytes."""

    magic: int
    timeline: int
    address: int
    system_identifier: str
    segment_size: int
    page_size: int

    @property
    def segment(self) -> Segment:
        """The segment of that timeline which begins there."""
        return Segment(self.timeline, self.address // self.segment_size, self.segment_size)


def first_page(content: bytes) -> FirstPage | None:
    """By the first bytes of a file; None if it does not begin as a segment does."""
    if len(content) < HEADER_SIZE:
        return None
    magic, flags, timeline, address, _, system, size, page = _LONG.unpack_from(content)
    if not magic or not flags & _IS_LONG or not _is_size(size, 2**20, 2**30) or not _is_size(page, 2**10, 2**16):
        return None
    return FirstPage(magic, timeline, address, str(system), size, page)


def _is_size(value: int, least: int, most: int) -> bool:
    return least <= value <= most and value & (value - 1) == 0


class PageWatcher:
    """Looks at the pages of one segment as they pass, in chunks that no page is cut by. `fault`: the first one."""

    def __init__(self, name: str, system_identifier: str) -> None:
        self._name, self._system_identifier = name, system_identifier
        self._page: FirstPage | None = None
        self._at = 0
        self.fault: str | None = None

    def feed(self, chunk: bytes) -> None:
        if self.fault is None:
            self.fault = self._begin(chunk) if self._page is None else self._look(chunk)
        self._at += len(chunk)

    def finish(self) -> None:
        """Nothing more comes: whether it is all of it."""
        if self._page is None:
            self.fault = self.fault or "it is empty"
        elif self.fault is None and self._at != self._page.segment_size:
            self.fault = f"it has {self._at:,} bytes, a segment of its cluster has {self._page.segment_size:,}"

    def _begin(self, chunk: bytes) -> str | None:
        page = first_page(chunk)
        if page is None:
            return "it does not begin as a WAL segment does"
        if page.system_identifier != self._system_identifier:
            return f"it is of the cluster {page.system_identifier}, not of {self._system_identifier}"
        self._page = page
        try:
            named = Segment.of_name(self._name, page.segment_size)
        except ValueError as error:
            return str(error)
        # The segment in which a timeline begins was copied from the one before: its first pages say that one's number.
        if page.address != named.start or page.timeline > named.timeline:
            return f"by its first page it is {page.segment.name}"
        return self._look(chunk)

    def _look(self, chunk: bytes) -> str | None:
        """Each page is of this segment, at its place, or was never written: after a forced switch, say."""
        page = self._page
        assert page is not None
        start = page.address + self._at
        for offset in range(0, len(chunk) - _SHORT.size + 1, page.page_size):
            magic, _, _, address = _SHORT.unpack_from(chunk, offset)
            if magic and (magic, address) != (page.magic, start + offset):
                return f"the page at byte {self._at + offset:,} is not of it"
            if not magic and address:
                return f"the page at byte {self._at + offset:,} is not of it"
        return None
