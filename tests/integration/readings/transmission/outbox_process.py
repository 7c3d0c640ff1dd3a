"""A collector's outbox in a process of its own: ``outbox_process.py FOLDER FIRST_MARK``.

Appends one small batch after another, some in pairs, and prints each mark once it is on the disk. Now and then it
acknowledges the oldest, as the platform would.
"""

import itertools
import sys
from pathlib import Path

from wattkeeper.readings.transmission.outbox import Outbox, Outgoing


def payload_of(mark: int) -> bytes:
    return mark.to_bytes(8, "big") * (1 + mark % 900)


def main() -> None:
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    outbox = Outbox(folder, most_bytes=1 << 30)
    for mark in itertools.count(first, 2):
        outbox.append([Outgoing(1, 10, payload_of(each), each) for each in (mark, mark + 1)])
        sys.stdout.write(f"fed {mark + 1}\n")
        sys.stdout.flush()
        if mark % 7 == 0:
            oldest = outbox.next(most_rows=30, most_bytes=1 << 20)
            outbox.acknowledge(oldest[-1].sequence)
            sys.stdout.write(f"acknowledged {oldest[-1].mark}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
