"""The chain in the second place: the same links under the same keys, never overwritten."""

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import head_of, sequence_of, sha256_of
from desbuquei_backups.operations.evidence_head import COPIED, find, keys_after, lock_of_link, recall, remember
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.s3_errors import Taken

_BATCH = 1000


def copy_to_second(site: Site) -> int:
    """Copy the links that the second place has not yet; says how many. Nothing if there is no second place.

    IntegrityError, at the end, if one of them is there with other content; StoreError.
    """
    second = site.second
    if second is None:
        return 0
    lock = lock_of_link(second)
    head = recall(second, COPIED) or find(second.bucket)
    copied, differing = 0, list[str]()
    for key, content in read_in_order(site.bucket, keys_after(site.bucket, head)):
        try:
            second.bucket.put_if_absent(key, content, lock=lock)
        except Taken:
            if sha256_of(b"".join(second.bucket.read(key))) != sha256_of(content):
                differing.append(key)
        copied += 1
        head = head_of(sequence_of(key) or 0, content)
        if copied % _BATCH == 0:
            remember(second, COPIED, head)
    if copied:
        remember(second, COPIED, head)
    if differing:
        raise IntegrityError(
            f"{second.bucket.uri(differing[0])} is not what the first place has"
            + (f", and so are {len(differing) - 1} more" if len(differing) > 1 else ""),
            remedy="nothing was overwritten: `desbuquei audit verify --anchor second` says which place was rewritten",
        )
    return copied
