"""The settings, from the environment: one that is lost is an error, never a default that backs up something else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from desbuquei_backups.core.commands import of_database
from desbuquei_backups.core.databases import DATABASE_URL, INVARIANTS, RESTORE_URL, Database, load_databases, named
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.invariants import NONE, Invariant, load_invariants
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.storage.age_keys import IDENTITY, RECIPIENTS, parse_recipients
from desbuquei_backups.storage.signing_keys import PUBLIC_KEYS, SIGNING_KEY

__all__ = [
    "DATABASE_URL",
    "EMBEDDED",
    "INVARIANTS",
    "PRUNE_S3",
    "REPORT_CLAUSES",
    "RESTORE_URL",
    "S3_URL",
    "SECOND_S3_URL",
    "URLS",
    "Settings",
    "databases_in",
    "from_environment",
    "settings_of",
]

EMBEDDED = "embedded"
S3_URL = "DESBUQUEI_S3_URL"
SECOND_S3_URL = "DESBUQUEI_SECOND_S3_URL"
PRUNE_S3 = "DESBUQUEI_PRUNE_S3"
REPORT_CLAUSES = "DESBUQUEI_REPORT_CLAUSES"
NOTIFY_URLS = "DESBUQUEI_NOTIFY_URLS"
PING_URL = "DESBUQUEI_PING_URL"

URLS = (DATABASE_URL, S3_URL, RESTORE_URL)
_MEANING = {
    DATABASE_URL: "the database to back up, like postgresql://role@host:5432/name?sslmode=verify-full",
    S3_URL: "the bucket, like s3://desbuquei-backups",
    SECOND_S3_URL: "a bucket elsewhere, like s3://desbuquei-backups-elsewhere",
    RESTORE_URL: "the server for restored copies, like postgresql://postgres@host:5432/postgres",
}


# What reaches the second place: DESBUQUEI_SECOND_AWS_REGION and so on; what is unset is as for the first.
_SECOND = "DESBUQUEI_SECOND_"
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3")
_ANOTHER_ACCOUNT = {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. URLs may hold passwords and are never shown; `aws` overrides boto3's own environment.

    `second_aws`: what reaches the second place and is not as for the first. `age_recipients`: the public keys that
    backups are encrypted to before they are written; none: they are not. `age_identity`: a file with the secret key of
    one of them, where copies are restored. `prunes_s3`: whether what is too old in S3 is deleted from here; if not,
    these credentials need not be able to. `invariants`: the user's own questions, by name.
    `signing_key`: the file with the key that signs the chain of evidence; `public_keys`: with those that may have.
    `report_clauses`: a file in place of the packaged table of clauses. `notify_urls`: Apprise's, of who is told what is
    wrong; `ping_urls`: what is asked for after each good backup, by the names of their settings.
    `urls` are by the names of the first database's settings; `variables` has the names that a further one's have, and
    `below` the name of its folder and prefix. `others`: the URLs of the policy's other databases that are set.
    """

    policy: Policy
    backup_dir: Path
    home: Path
    urls: Mapping[str, str] = field(repr=False)
    aws: Mapping[str, str] = field(default_factory=dict, repr=False)
    second_aws: Mapping[str, str] = field(default_factory=dict, repr=False)
    age_recipients: Sequence[str] = ()
    age_identity: Path | None = None
    prunes_s3: bool = True
    invariants: Mapping[str, Invariant] = field(default_factory=dict)
    signing_key: Path | None = None
    public_keys: Path | None = None
    report_clauses: Path | None = None
    notify_urls: Sequence[str] = field(default=(), repr=False)
    ping_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    others: Sequence[str] = field(default=(), repr=False)

    def url(self, name: str) -> str:
        """The URL of that setting; ConfigurationError if it is unset."""
        if not (url := self.urls.get(name)):
            raise ConfigurationError(
                f"{self.variable(name)} is not set",
                remedy=f"set it to {_MEANING[name]}; or to the word {EMBEDDED} for a server to try things on",
            )
        return url

    def variable(self, name: str) -> str:
        """What that setting is called for this database."""
        return self.variables.get(name, name)

    def told(self, text: str) -> str:
        """`text` with the settings and commands in it being this database's."""
        return of_database(text, self.below, self.variables)

    @property
    def database_url(self) -> str:
        return self.url(DATABASE_URL)

    @property
    def s3_url(self) -> str:
        """The bucket and this database's own prefix in it."""
        url = self.url(S3_URL)
        return f"{url.rstrip('/')}/{self.below}" if self.below else url

    @property
    def restore_url(self) -> str:
        return self.url(RESTORE_URL)

    @property
    def second_is_same_account(self) -> bool:
        """Whether the second place is reached as the first is, so that the store itself can copy between them."""
        return not _ANOTHER_ACCOUNT & self.second_aws.keys()

    @property
    def second(self) -> "Settings | None":
        """The settings with the second place as the only one, and what is kept there; None if there is none.

        ConfigurationError if it is the first one.
        """
        url = self.urls.get(SECOND_S3_URL)
        if not url:
            return None
        if url.rstrip("/") == self.urls.get(S3_URL, "").rstrip("/") and self.second_is_same_account:
            raise ConfigurationError(
                f"{SECOND_S3_URL} is the same place as {S3_URL}",
                remedy="name a bucket in another region, account or provider, or leave it out",
            )
        tiers = {
            name: tier.model_copy(update={"kept_in_s3": tier.kept_in_second_place or tier.kept_in_s3})
            for name, tier in self.policy.tiers.items()
        }
        return replace(
            self,
            policy=self.policy.model_copy(update={"tiers": tiers}),
            urls={name: other for name, other in self.urls.items() if name != SECOND_S3_URL} | {S3_URL: url},
            aws={**self.aws, **self.second_aws},
            second_aws={},
        )

    @property
    def ping_url(self) -> str | None:
        """What is asked for after each good backup of this database: DESBUQUEI_PING_URL_<DATABASE>, or for all."""
        return self.ping_urls.get(f"{PING_URL}_{self.policy.database.upper()}") or self.ping_urls.get(PING_URL)

    @property
    def folder(self) -> Path:
        """Where this database's files are."""
        return self.backup_dir / self.below


def databases_in(environment: Mapping[str, str]) -> tuple[Database, ...]:
    """The databases of the policy that `environment` names, the first one first; ConfigurationError if it is bad."""
    return load_databases(_path(environment, "DESBUQUEI_POLICY"))


def from_environment(environment: Mapping[str, str], database: str | None = None) -> Settings:
    """The settings in `environment` of the database that the policy calls so, or of the first; ConfigurationError."""
    databases = databases_in(environment)
    return settings_of(named(databases, database), environment, databases)


def settings_of(database: Database, environment: Mapping[str, str], databases: Sequence[Database] = ()) -> Settings:
    """The settings in `environment` of one of `databases`, the policy's.

    ConfigurationError if one is bad. Unset URLs are found out when used.
    """
    variables = {DATABASE_URL: database.url, RESTORE_URL: database.restore_url}
    urls = {name: url for name in _MEANING if (url := environment.get(variables.get(name, name)))}
    home = Path(environment.get("DESBUQUEI_HOME") or ".desbuquei").absolute()
    # Backups of an embedded server are a trial: they lie beside it, not where production's are.
    folder = home / "backups" if environment.get(DATABASE_URL) == EMBEDDED else Path("/backups")
    given = environment.get("DESBUQUEI_BACKUP_DIR")
    return Settings(
        policy=database.policy,
        backup_dir=Path(given).absolute() if given else folder,
        home=home,
        urls=urls,
        second_aws={name: value for name in _AWS if (value := environment.get(f"{_SECOND}{name}"))},
        age_recipients=parse_recipients(environment.get(RECIPIENTS, "")),
        age_identity=_path(environment, IDENTITY),
        prunes_s3=_prunes_s3(environment.get(PRUNE_S3)),
        signing_key=_path(environment, SIGNING_KEY),
        public_keys=_path(environment, PUBLIC_KEYS),
        invariants=load_invariants(Path(asked)) if (asked := environment.get(database.invariants)) else NONE,
        report_clauses=_path(environment, REPORT_CLAUSES),
        notify_urls=environment.get(NOTIFY_URLS, "").split(),
        ping_urls={name: url.strip() for name, url in environment.items() if name.startswith(PING_URL)},
        variables=variables,
        below=database.below,
        others=[url for each in databases if each != database and (url := environment.get(each.url))],
    )


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(given).absolute() if (given := environment.get(name)) else None


def _prunes_s3(given: str | None) -> bool:
    if given in (None, "", "on", "off"):
        return given != "off"
    raise ConfigurationError(
        f"{PRUNE_S3} is {given!r}", remedy="write off where S3 is pruned from elsewhere, or leave it out"
    )
