"""How long it takes until a frozen object can be read, by its class and by how urgently it is asked for."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from desbuquei_backups.core.tiers import StorageClass


class Speed(StrEnum):
    """S3's retrieval tiers: the faster, the dearer."""

    EXPEDITED = "expedited"
    STANDARD = "standard"
    BULK = "bulk"


# The longest that each is said to take:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
LONGEST: Mapping[StorageClass, Mapping[Speed, timedelta]] = {
    StorageClass.GLACIER: {
        Speed.EXPEDITED: timedelta(minutes=5),
        Speed.STANDARD: timedelta(hours=5),
        Speed.BULK: timedelta(hours=12),
    },
    StorageClass.DEEP_ARCHIVE: {Speed.STANDARD: timedelta(hours=12), Speed.BULK: timedelta(hours=48)},
}
