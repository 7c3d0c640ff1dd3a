"""What every room stands on: time ranges, money, the ledger database, jobs, the change feed, the hub, calendars."""
