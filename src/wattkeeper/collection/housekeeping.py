"""What is counted of reading does not grow without end: hours that nobody looks at any more are forgotten."""

from datetime import datetime, timedelta
from typing import Final

from wattkeeper.collection.models import LinkStatistic, ReadStatistic
from wattkeeper.collection.repository import CollectionRepository
from wattkeeper.kernel.database import Database

KEPT: Final[dict[type[ReadStatistic | LinkStatistic], timedelta]] = {
    ReadStatistic: timedelta(days=62),
    LinkStatistic: timedelta(days=731),
}
"""How long hourly counts are kept. Two months of each meter are 1,488 rows; of each link two years are to be compared."""


def forget_old_counts(database: Database, now: datetime) -> int:
    """Delete the counts of hours too long ago; how many there were.

    A day of them goes in each transaction: the first time there may be years, and the collector writes in between.
    """
    forgotten = 0
    for table, kept in KEPT.items():
        while True:
            with database.write() as session:
                gone = CollectionRepository(session).forget_counts(table, before=now - kept)
            if not gone:
                break
            forgotten += gone
    return forgotten
