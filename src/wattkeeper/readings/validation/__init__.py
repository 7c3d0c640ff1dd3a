"""Validation: small named rules that say what may be wrong with readings. They flag, and never change or delete.

The rules (`rules.RULES`) work on a table of readings and need neither store nor ledger:

    from wattkeeper.readings.validation.checking import Context, check

    findings = check(readings, Context())

``readings`` is a `pyarrow.Table` with at least ``meter_id`` (int64), ``quantity`` (a key of the catalogue), ``read_at``
(timestamp[us, UTC]) and ``value`` (decimal128(18, 4)); ``status``, ``source``, ``exchange_id`` and ``recorded_at`` of
STORED_READING_SCHEMA are used where they are there. Rows may stand in any order, and a stamp may occur twice: the last
row of it is the current one, which is what the rule `duplicate_value` tells. Energy per interval is handed in as the
register it makes up (its running sum, stamped at the ends of the intervals); power as ``active_power``.

`Context` carries what else is known: `MeterFacts` per meter and installation (ratio, digits, ratings, class of the
point, zone), the parameters, the civil days that are judged, and intervals to be summed. Without facts the rules that
need them keep silent, and days are those of UTC.

The answer has the columns of `checking.FINDING_SCHEMA`: code, severity, meter_id, point_id, quantity, start_at, end_at,
evidence (JSON text) and ground (a digest of what the finding rests on: the same ground is the same finding). A finding
about one reading starts at its instant and ends a second later; any other one is about a civil day, with what it rests
on in the evidence, so that a finding keeps its key however the readings arrive.
"""
