"""Adopt archived backups that the chain of evidence does not know: a person says that they are right, and why."""

from collections.abc import Collection

from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.evidence_walk import Fault
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.evidence import owe, send
from desbuquei_backups.operations.said import of_manifest
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.storage import catalog


def adopt(site: Site, backup_ids: Collection[str], asked: Asked) -> list[str]:
    """Say of those backups, all if none is named, that the chain is to know them from now on; returns their ids.

    Such are backups made before there was a chain, or whose machine was lost before it could send what it owed.
    NotFound if one is not archived, or is known already; StoreError.
    """
    unknown = {each.backup_id for each in audit(site).breaks if each.fault is Fault.MANIFEST_UNKNOWN}
    for backup_id in backup_ids:
        if backup_id not in unknown:
            with naming(backup_id):
                raise NotFound(
                    "it is not archived, or the chain knows it",
                    remedy="`desbuquei audit verify` names what it does not",
                )
    adopted = []
    for backup_id in sorted(each for each in unknown if each and (not backup_ids or each in backup_ids)):
        manifest = catalog.in_bucket(site.bucket, Slot.of_id(backup_id).tier, backup_id)
        if manifest is not None:
            said = {**of_manifest(manifest), "operator": asked.operator, "reason": asked.reason}
            owe(site, Kind.ADOPTED, backup_id, said)
            adopted.append(backup_id)
    send(site)
    return adopted
