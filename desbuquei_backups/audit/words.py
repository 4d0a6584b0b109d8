"""The words of the report, for who knows neither PostgreSQL nor this program."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "tier": "a rule of the policy: how often a backup is taken, and for how long it is kept (hourly, daily, …)",
    "slot": "one due time of a tier; a backup is named after it: daily-2026-02-02-020000 of 2 February 2026, 02:00",
    "dump": "the whole database written out as text that any PostgreSQL server can read in again",
    "base backup": "a copy of the database server's files: the fast way back",
    "WAL": "PostgreSQL's own journal of every change: with a base backup, any second can be brought back",
    "recovery point": "a moment that can be brought back; what was changed after the newest one would be lost",
    "recovery time": "how long it takes from the decision to recover until the database answers again",
    "restored copy": "a backup, restored from S3 on another server, compared row by row, and removed again",
    "recovery drill": "the whole server, recovered from S3 on another machine's disk, looked at, measured, and removed",
    "manifest": "the list of a backup's files and tables with their checksums, written when it was complete",
    "checksum": "a number computed from every byte of a file: another file has another one (MD5, SHA-256)",
    "archived": "stored in S3, every object compared with the manifest",
    "bucket": "the place in S3 where the backups are; S3 is a store of files elsewhere, reached over the network",
    "chain of evidence": "what was said of each backup, link after link, each with the checksum of the one before",
    "anchor": "the chain's last checksum, carried away where the backup host cannot reach it",
    "pruned": "removed, since its time was over",
    "held": "kept until somebody releases it, whatever its age",
}
