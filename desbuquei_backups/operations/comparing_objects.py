"""How many objects of each kind a restored copy has, and which versions of extensions, against the backup's manifest.

Definitions are compared with the dump's own: what never got into the dump is missing on both sides. Here it shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from desbuquei_backups.core.comparison import Finding, Verdict, compare
from desbuquei_backups.core.manifest import Manifest, ObjectFacts
from desbuquei_backups.operations.loading import Around
from desbuquei_backups.postgres import objects
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.target import Unmet

COUNTS = "objects by kind"


def compare_objects(connection: Connection, manifest: Manifest, around: Around) -> list[Finding]:
    """By kind and schema, what pg_dump did not write, and extensions. Ask before anything else is made in the copy.

    Where something was restored around, another number in that schema says nothing.
    """
    missing = [
        Finding(f"{each.kind} {each.identity}", "there", None, Verdict.DIFFERS, "pg_dump did not write it")
        for each in manifest.unwritten
    ]
    return _counts(connection, manifest, around) + missing + _extensions(connection, manifest, around.lacking)


def _counts(connection: Connection, manifest: Manifest, around: Around) -> list[Finding]:
    if manifest.objects is None:
        why = "the backup's manifest does not say how many there were"
        return [Finding(COUNTS, None, None, Verdict.UNCOMPARED, why)]
    source, restored = _by_subject(manifest.objects), _by_subject(objects.count_objects(connection))
    none = dict.fromkeys((*source, *restored), 0)
    findings = compare(none | source, none | restored, {}, shown=lambda value: f"{value:,}", difference=_apart)
    left = {("" if entry.schema == "-" else entry.schema) for entry, _ in around.entries}
    affected = {_subject(each) for each in manifest.objects if each.within in left or (left and not each.within)}
    return [
        replace(each, verdict=Verdict.UNCOMPARED, why=f"{each.why}; something was restored around there")
        if each.verdict is Verdict.DIFFERS and each.subject in affected
        else each
        for each in findings
    ]


def _extensions(connection: Connection, manifest: Manifest, lacking: Sequence[Unmet]) -> list[Finding]:
    """pg_dump restores each in the version that the server has: another one is no fault of the backup's."""
    wanted = {each.name: each.version for each in manifest.requirements if each.kind == "extension"}
    found: dict[str, str] = dict(connection.execute("select extname::text, extversion from pg_extension").fetchall())
    why = {each.requirement.name: each.why for each in lacking if each.requirement.kind == "extension"}
    why |= {
        name: f"{version} in the source, {found[name]} on the restore server: what needs it may behave otherwise"
        for name, version in wanted.items()
        if name in found and found[name] != version
    }
    return compare(_named(wanted.items()), _named((name, found.get(name)) for name in wanted), _named(why.items()))


def _named(versions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    return {f"version of extension {name}": version for name, version in versions if version is not None}


def _by_subject(counted: Sequence[ObjectFacts]) -> dict[str, int]:
    return {_subject(each): each.count for each in counted}


def _apart(left: object, right: object) -> str:
    return f"{int(str(right)) - int(str(left)):+,}"


def _subject(each: ObjectFacts) -> str:
    return f"objects in {each.within or 'no schema'}: {each.kind}"
