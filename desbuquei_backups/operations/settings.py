"""The settings, from the environment: one that is lost is an error, never a default that backs up something else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.tiers import Policy, load_policy

EMBEDDED = "embedded"
DATABASE_URL = "DESBUQUEI_DATABASE_URL"
S3_URL = "DESBUQUEI_S3_URL"
RESTORE_URL = "DESBUQUEI_RESTORE_URL"

URLS = (DATABASE_URL, S3_URL, RESTORE_URL)
_MEANING = {
    DATABASE_URL: "the database to back up, like postgresql://role@host:5432/name?sslmode=verify-full",
    S3_URL: "the bucket, like s3://desbuquei-backups",
    RESTORE_URL: "the server for restored copies, like postgresql://postgres@host:5432/postgres",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. URLs may hold passwords and are never shown; `aws` overrides boto3's own environment."""

    policy: Policy
    backup_dir: Path
    home: Path
    urls: Mapping[str, str] = field(repr=False)
    aws: Mapping[str, str] = field(default_factory=dict, repr=False)

    def url(self, name: str) -> str:
        """The URL of that setting; ConfigurationError if it is unset."""
        if not (url := self.urls.get(name)):
            raise ConfigurationError(
                f"{name} is not set",
                remedy=f"set it to {_MEANING[name]}; or to the word {EMBEDDED} for a server to try things on",
            )
        return url

    @property
    def database_url(self) -> str:
        return self.url(DATABASE_URL)

    @property
    def s3_url(self) -> str:
        return self.url(S3_URL)

    @property
    def restore_url(self) -> str:
        return self.url(RESTORE_URL)

    @property
    def folder(self) -> Path:
        """Where this database's files are."""
        return self.backup_dir


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; ConfigurationError if the policy is bad. Unset URLs are found out when used."""
    policy = environment.get("DESBUQUEI_POLICY")
    urls = {name: environment[name] for name in _MEANING if environment.get(name)}
    home = Path(environment.get("DESBUQUEI_HOME") or ".desbuquei").absolute()
    # Backups of an embedded server are a trial: they lie beside it, not where production's are.
    folder = home / "backups" if urls.get(DATABASE_URL) == EMBEDDED else Path("/backups")
    given = environment.get("DESBUQUEI_BACKUP_DIR")
    return Settings(
        policy=load_policy(Path(policy) if policy else None),
        backup_dir=Path(given).absolute() if given else folder,
        home=home,
        urls=urls,
    )
