"""A bill run in a process of its own: ``run_process.py LEDGER_URL READINGS``; prints "working" once it has begun."""

import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from wattkeeper.billing.service import BillingService
from wattkeeper.kernel.database import Database
from wattkeeper.readings.store import ReadingsStore

START = datetime(2026, 12, 1, 8, tzinfo=UTC)

if __name__ == "__main__":
    ledger, readings, attempt = sys.argv[1:]
    ticks = count()
    began = START + timedelta(hours=int(attempt))
    with ReadingsStore.open(Path(readings)) as store:
        billing = BillingService(Database(ledger), store)
        sys.stdout.write("working\n")
        sys.stdout.flush()
        billing.work_bill_run(
            owner=f"worker {attempt}", clock=lambda: began + timedelta(milliseconds=next(ticks))
        )
