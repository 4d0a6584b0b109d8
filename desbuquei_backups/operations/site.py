"""Where an operation works: settings, folder, bucket, clock and whoever watches, in one value."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.core.slots import Slot, SlotState, last_due, state
from desbuquei_backups.core.tiers import Policy, Tier
from desbuquei_backups.operations.progress import Progress, Silent
from desbuquei_backups.operations.settings import SECOND_S3_URL, Settings
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.age_keys import Identity
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.signing_keys import PublicKey, SigningKey, read_public_keys

_LOCK_WAIT_SECONDS = 3600.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """One database's backups. `now` is passed in so that a test can move it; `lock_wait_seconds` bounds the wait.

    `first`: of a site at the second place, the one at the first.
    """

    settings: Settings
    now: Callable[[], datetime] = utc_now
    progress: Progress = field(default_factory=Silent)
    lock_wait_seconds: float = _LOCK_WAIT_SECONDS
    first: "Site | None" = None

    @property
    def policy(self) -> Policy:
        return self.settings.policy

    @cached_property
    def bucket(self) -> Bucket:
        policy = self.policy
        return Bucket(
            self.settings.s3_url, self.settings.aws, kms_key=policy.kms_key, max_bandwidth=policy.max_bandwidth
        )

    @cached_property
    def identity(self) -> Identity | None:
        """What opens encrypted backups here; None if no identity file is named. ConfigurationError if it is none."""
        path = self.settings.age_identity
        return None if path is None else Identity.read(path)

    @cached_property
    def signer(self) -> SigningKey | None:
        """What signs the chain of evidence; None if no key is named. ConfigurationError if it is none."""
        path = self.settings.signing_key
        return None if path is None else SigningKey.read(path)

    @cached_property
    def public_keys(self) -> Mapping[str, PublicKey]:
        """The keys that may have signed it, by their ids; none if no file is named. ConfigurationError."""
        path = self.settings.public_keys
        return {} if path is None else read_public_keys(path)

    @cached_property
    def second(self) -> "Site | None":
        """The same with its bucket at the second place; None if there is none."""
        settings = self.settings.second
        return None if settings is None else replace(self, settings=settings, first=self)

    @property
    def at_second_place(self) -> "Site":
        """The same; ConfigurationError if there is no second place."""
        if self.second is None:
            raise ConfigurationError(
                f"there is no second place: {SECOND_S3_URL} is not set", remedy=f"set {SECOND_S3_URL} to a bucket"
            )
        return self.second

    def tier(self, slot: Slot) -> Tier:
        return self.policy.tier(slot.tier)

    def open_slot(self, tier: str) -> Slot:
        """The tier's slot that is open now; of one that is filled when somebody asks, a new one."""
        cron = self.policy.tier(tier).cron
        return Slot(tier, self.now().replace(microsecond=0) if cron is None else last_due(cron, self.now()))

    def state(self, slot: Slot) -> SlotState:
        return state(slot, self.tier(slot).cron, self.now())

    @contextmanager
    def locked(self, backup_id: str, doing: str) -> Iterator[None]:
        """Hold the database's lock, and name the backup in whatever goes wrong meanwhile."""
        with (
            naming(backup_id),
            in_words_of(self.settings),
            disk.lock(
                self.settings.folder,
                self.policy.database,
                doing=f"{doing} of {backup_id}",
                wait_seconds=self.lock_wait_seconds,
                waiting=self.progress.stage,
            ),
        ):
            disk.remove_abandoned(self.settings.folder)
            yield


@contextmanager
def naming(backup_id: str) -> Iterator[None]:
    """Every error says to which backup it happened."""
    try:
        yield
    except BackupError as error:
        error.backup_id = error.backup_id or backup_id
        raise


@contextmanager
def in_words_of(settings: Settings) -> Iterator[None]:
    """Every error names the settings and commands of the database that it happened to: ids are the same in each."""
    try:
        yield
    except BackupError as error:
        error.what, error.remedy = settings.told(error.what), settings.told(error.remedy)
        raise
