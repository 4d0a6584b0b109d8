"""Continuous streaming: pg_receivewal into the spool, and from there to S3, in one process.

What is down is waited for with growing pauses: the database, the network, S3. Meanwhile the slot keeps the WAL on the
server, and the spool what was received.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import BackupError, SourceError, SourceRefused
from desbuquei_backups.operations.second_wal_stream import Follower
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.slot_safety import slot_safety
from desbuquei_backups.operations.wal_archive import archive_spool
from desbuquei_backups.operations.wal_drain import RECEIVING
from desbuquei_backups.operations.wal_points import heartbeat_of, look, nothing_but_own
from desbuquei_backups.operations.wal_slot import (
    Cluster,
    Refused,
    bring_skipped,
    cluster_of,
    declare_gap,
    ensure_slot,
    last_received,
    note_loss,
)
from desbuquei_backups.operations.wal_spool import Spool, spool_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import wal
from desbuquei_backups.postgres.receiving import Receiver, WalGone

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_WELL_SECONDS = 60.0  # what ran so long begins again at once
_DISK_WARNED, _DISK_FULL = 0.15, 0.05


@dataclass
class Streamer:
    """One streamer. `stop` ends it cleanly. A segment is ended after `switch_seconds`, if anything was written.

    `tick_seconds`: how often the spool is looked at; `look_seconds`: how often the server is asked where it is;
    `second_seconds`: how often, at most, the second place is looked after.
    """

    site: Site
    stop: threading.Event = field(default_factory=threading.Event)
    switch_seconds: float = 300.0
    look_seconds: float = 10.0
    tick_seconds: float = 0.5
    second_seconds: float = 60.0
    _second: Follower = field(init=False)
    _warned: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._second = Follower(self.site, self.stop, self._say, self.second_seconds)

    def run(self) -> None:
        """Stream until `stop`. Raises what a person must mend first: a setting, a missing program, a refusal."""
        spool = spool_of(self.site)
        spool.prepare()
        with spool.locked(RECEIVING, self.site.lock_wait_seconds):
            archiver = threading.Thread(target=self._archive_for_ever, name="archive", args=(spool,), daemon=True)
            archiver.start()
            try:
                with self._second.following():
                    self._again_and_again("streaming", lambda: self._stream(spool))
            finally:
                self.stop.set()
                archiver.join()

    def _again_and_again(self, doing: str, once: Callable[[], None]) -> None:
        """Until `stop`; with growing pauses, for as long as it fails."""
        pause = _FIRST_PAUSE
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                once()
                pause = _FIRST_PAUSE
            except BackupError as error:
                if error.permanent and not isinstance(error, WalGone):
                    raise
                pause = _FIRST_PAUSE if time.monotonic() - begun > _WELL_SECONDS else pause
                _LOG.warning("%s: %s; again in %.0f s", doing, error.what, pause)
                self.stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _stream(self, spool: Spool) -> None:
        """One run of pg_receivewal, from the slot's position until it ends or is to end."""
        with (
            pg.connect(self.site.settings.database_url, setting=DATABASE_URL) as connection,
            pg.explained("streaming"),
        ):
            pg.pin(connection)
            cluster = cluster_of(self.site, connection)
            if isinstance(cluster, Refused):
                raise SourceRefused(
                    f"the server gives no WAL: {cluster.why}", remedy="`desbuquei doctor` says what it lacks"
                )
            ensured = ensure_slot(self.site, connection, cluster)
            last = last_received(self.site, spool, cluster)
            parameters = pg.parse(self.site.settings.database_url, setting=DATABASE_URL)
            spool.mend_partial(cluster.segment_size)
            bring_skipped(self.site, spool, cluster, ensured.slot, last)
            receiver = Receiver(cluster.programs, parameters, spool.streamed, ensured.slot.name)
            _LOG.info("streaming from %s through the slot %s", pg.described(parameters), ensured.slot.name)
            try:
                self._watch(spool, connection, cluster, receiver)
            except WalGone as error:
                note_loss(self.site, connection, cluster, last, error)
                raise
            finally:
                if not receiver.ended():
                    receiver.stop()

    def _watch(self, spool: Spool, connection: pg.Connection, cluster: Cluster, receiver: Receiver) -> None:
        looked = switched = time.monotonic()
        last = ""
        while not self.stop.wait(self.tick_seconds):
            if receiver.ended():
                receiver.finish()
                return
            now = time.monotonic()
            if now - looked >= self.look_seconds:
                looked = now
                look(spool, connection, cluster)
                self._say_safety(connection)
            if now - switched >= self.switch_seconds:
                switched = now
                last = self._switch(spool, connection, cluster, last)

    def _switch(self, spool: Spool, connection: pg.Connection, cluster: Cluster, last: str) -> str:
        """End the segment, unless nothing but our own ended since the last time; the snapshot of this time."""
        try:
            with pg.explained("ending a segment"):
                found = look(spool, connection, cluster)
                if not last or not nothing_but_own(self.site, last, found.snapshot):
                    heartbeat_of(self.site, connection, "stream")
                    wal.switch(connection, cluster.segment_size)
                return found.snapshot
        except SourceError as error:
            if not error.permanent:
                raise
            self._say("switch", f"segments are not ended early, a quiet hour stays out of S3: {error.what}")
            return last

    def _archive_for_ever(self, spool: Spool) -> None:
        def once() -> None:
            while not self.stop.is_set():
                self._archive(spool)
                self.stop.wait(self.tick_seconds)

        while not self.stop.is_set():
            try:
                self._again_and_again("archiving", once)
            except BackupError as error:  # a person must act: the WAL is safe in the spool until then
                self._say("archive", f"{error.what}. {error.remedy}", error=True)
                self.stop.wait(_LONGEST_PAUSE)
        try:
            self._archive(spool)
        except BackupError as error:
            _LOG.warning("what is left in the spool is archived at the next start: %s", error.what)

    def _archive(self, spool: Spool) -> None:
        self._say_disk(spool)
        if not spool.files() and spool.lost_after is None:
            return
        done = archive_spool(self.site)
        if done.stored:
            _LOG.info(
                "archived %s", f"{done.stored[0]}" + (f" and {len(done.stored) - 1} more" if done.stored[1:] else "")
            )
        self._second.archived.set()
        for fault in done.faults:
            self._say(fault.what, f"{fault.what}. {fault.remedy}", error=True)
        if spool.lost_after is not None:
            self._declare()

    def _declare(self) -> None:
        url = self.site.settings.database_url
        with pg.connect(url, setting=DATABASE_URL) as connection, pg.explained("looking at the server"):
            cluster = cluster_of(self.site, connection)
        if isinstance(cluster, Cluster):
            declare_gap(self.site, cluster)

    def _say_safety(self, connection: pg.Connection) -> None:
        found = slot_safety(wal.find_slot(connection, wal.slot_name(self.site.policy.database)))
        bad = [each for each in found if each.verdict is Verdict.DIFFERS]
        self._say("slot", "; ".join(f"{each.subject}: {each.why}" for each in bad))

    def _say_disk(self, spool: Spool) -> None:
        usage = shutil.disk_usage(spool.folder)
        free = usage.free / usage.total
        text = f"{spool.folder} has {usage.free / 1e9:.1f} GB free, {free:.0%}; WAL waits there for S3"
        self._say("disk", text if free < _DISK_WARNED else "", error=free < _DISK_FULL)

    def _say(self, subject: str, text: str, *, error: bool = False) -> None:
        """Say it once, until it changes."""
        key = text if subject != "disk" else f"{bool(text)}{error}"
        if self._warned.get(subject, "") != key:
            self._warned[subject] = key
            if text:
                _LOG.log(logging.ERROR if error else logging.WARNING, "%s", text)
