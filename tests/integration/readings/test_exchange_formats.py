"""Green Button and IEC 61968-9: what leaves comes back as it was, what others publish is read, and what is malicious is not.

The feed and the messages here are our own, of the shape of published ones: the sample data of the Green Button Alliance's
OpenESPI (Apache-2.0), and MeterReadings messages of head-end systems.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.readings.errors import FileUnreadable
from wattkeeper.readings.files.espi import local_time
from wattkeeper.readings.files.formats import file_of
from wattkeeper.readings.files.importing import Broken, staged
from wattkeeper.readings.files.kinds import FileFormat, What
from wattkeeper.readings.files.outgoing import ExportAsked, outgoing
from wattkeeper.readings.files.reading_types import (
    CODED,
    ReadingType,
    quality_of_interval,
    quantity_of,
    reading_type,
    status_of,
)
from wattkeeper.readings.quantities import QUANTITIES
from wattkeeper.readings.schemas import INTERVAL_SCHEMA, READING_SCHEMA
from wattkeeper.readings.store import ReadingsStore
from wattkeeper.registry.chosen import Wanted
from wattkeeper.registry.scope import EVERYTHING

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
IMPORT = "active_energy_import"
FORMATS = (FileFormat.ESPI, FileFormat.IEC_XML, FileFormat.IEC_JSON)
BEGIN = datetime(2026, 2, 1, tzinfo=UTC)


def test_every_coded_quantity_has_a_type_of_its_own_and_comes_back_from_it():
    for key in CODED:
        kind = reading_type(key)
        assert quantity_of(ReadingType.of_mrid(kind.mrid)) == (key, 0)
    assert len({reading_type(key).mrid for key in CODED}) == len(CODED)
    assert {key for key, entry in QUANTITIES.items() if entry.is_energy} <= CODED


@pytest.mark.parametrize(
    ("mrid", "key", "exponent"),
    [
        ("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0", IMPORT, 0),
        ("0.0.2.9.1.2.12.0.0.0.0.0.0.0.0.3.72.0", IMPORT, 0),  # a head-end's register, primary metered
        ("0.0.2.9.15.2.164.0.0.0.0.0.0.0.0.3.73.0", "reactive_energy_q1", 0),
        ("0.0.7.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0", "active_energy_export", -3),
        ("0.0.0.12.0.1.54.0.0.0.0.0.0.0.129.0.29.0", "voltage_l1", 0),
        ("0.0.0.12.0.1.54.0.0.0.0.0.0.0.32.3.29.0", "voltage_l3", 3),
        ("0.8.0.6.1.1.8.0.0.0.0.2.0.0.0.3.38.0", "active_demand_import_max_t2", 0),
        ("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0", None, None),  # gas
        ("1.2.3", None, None),
    ],
)
def test_types_of_others_are_known(mrid, key, exponent):
    kind = ReadingType.of_mrid(mrid)
    assert (None if kind is None else quantity_of(kind)) == (None if key is None else (key, exponent))


def test_qualities_go_both_ways_and_no_estimate_comes_back_as_measured():
    for method, status in (
        ("measured", 0),
        ("linear", 1),
        ("profile", 1),
        ("history", 1),
        ("peers", 1),
        ("edited", 2),
    ):
        assert status_of(int(quality_of_interval(method, status)), interval=True) == int(method != "measured")


def test_clock_rules_are_coded_as_in_published_feeds():
    assert local_time(ZoneInfo("America/New_York"), NOW) == (-18000, 3600, "360E2000", "B40E2000")
    assert local_time(SHANGHAI, NOW) == (28800, 0, "FFFFFFFF", "FFFFFFFF")
    offset, dst, start, end = local_time(ZoneInfo("Europe/Berlin"), NOW)
    assert (offset, dst, int(start, 16) >> 28, int(start, 16) >> 25 & 7, int(end, 16) >> 28) == (
        3600,
        3600,
        3,
        7,
        10,
    )


def left(office, store, what, file_format):
    with office.database.read() as session:
        found = outgoing(
            session,
            EVERYTHING,
            store,
            ExportAsked(what, Wanted(), TimeRange(BEGIN - timedelta(days=400), None)),
        )
    return b"".join(file_of(found, file_format, SHANGHAI, now=NOW))


def brought(office, store, content, name):
    path = office.file(content, name=name)
    with staged(path, path.name, office.database, EVERYTHING, zone="Asia/Shanghai") as found:
        return found.take_in(office.database, store, broken=Broken.REFUSE, now=NOW)


QUARTERS = st.integers(0, 4 * 24 * 200)
AMOUNTS = st.decimals(-9_999_999, 9_999_999, places=4)
KEYS = st.sampled_from(
    [IMPORT, "active_energy_export_t2", "reactive_energy_q3", "voltage_l2", "active_power", "power_factor"]
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readings=st.dictionaries(st.tuples(st.sampled_from([1, 2]), KEYS, QUARTERS), AMOUNTS, min_size=1, max_size=20),
    energies=st.dictionaries(
        st.tuples(st.sampled_from([1, 2]), st.sampled_from([IMPORT, "reactive_energy_combined1"]), QUARTERS),
        st.tuples(AMOUNTS, st.sampled_from([("measured", 0), ("linear", 1), ("profile", 1)])),
        min_size=1, max_size=20,
    ),
)  # fmt: skip
@pytest.mark.parametrize("file_format", FORMATS)
def test_what_leaves_comes_back_as_it_was(office, tmp_path_factory, file_format, readings, energies):
    def at(quarter):
        return BEGIN + quarter * timedelta(minutes=15)

    kept = [
        {"meter_id": meter, "quantity": key, "read_at": at(n), "value": value, "status": 0, "source": "imported", "exchange_id": None}
        for (meter, key, n), value in readings.items()
    ]  # fmt: skip
    used = [
        dict.fromkeys(INTERVAL_SCHEMA.names)
        | {"point_id": point, "quantity": key, "start_at": at(n), "end_at": at(n + 1), "energy": energy, "status": status, "method": method}
        for (point, key, n), (energy, (method, status)) in energies.items()
    ]  # fmt: skip
    with (
        ReadingsStore.open(tmp_path_factory.mktemp("from") / "readings") as before,
        ReadingsStore.open(tmp_path_factory.mktemp("to") / "readings") as after,
    ):
        before.append_readings(pa.Table.from_pylist(kept, READING_SCHEMA), NOW)
        before.append_intervals(pa.Table.from_pylist(used, INTERVAL_SCHEMA), NOW)
        for what in What:
            brought(office, after, left(office, before, what, file_format), f"{what}.file")
        same = ["meter_id", "quantity", "read_at", "value", "status"]
        assert after.readings().select(same) == before.readings().select(same)
        same = ["point_id", "quantity", "start_at", "end_at", "energy", "status"]
        for key in (IMPORT, "reactive_energy_combined1"):
            assert after.intervals(quantity=key).select(same) == before.intervals(quantity=key).select(same)


FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><id>urn:uuid:1</id><title>Feed</title>
<entry><link rel="self" href="/espi/1_1/resource/RetailCustomer/9/UsagePoint/5"/><title>Front Meter</title>
 <content><UsagePoint xmlns="http://naesb.org/espi"><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint></content></entry>
<entry><link rel="self" href="/espi/1_1/resource/RetailCustomer/9/UsagePoint/5/MeterReading/01"/>
 <link rel="related" href="/espi/1_1/resource/RetailCustomer/9/UsagePoint/5/MeterReading/01/IntervalBlock"/>
 <link rel="related" href="/espi/1_1/resource/ReadingType/07"/><title>Fifteen Minute Electricity Consumption</title>
 <content><MeterReading xmlns="http://naesb.org/espi"/></content></entry>
<entry><link rel="self" href="/espi/1_1/resource/RetailCustomer/9/UsagePoint/5/MeterReading/01/IntervalBlock/0173"/>
 <link rel="up" href="/espi/1_1/resource/RetailCustomer/9/UsagePoint/5/MeterReading/01/IntervalBlock"/>
 <content><IntervalBlock xmlns="http://naesb.org/espi"><interval><duration>86400</duration><start>1772323200</start></interval>
  <IntervalReading><cost>974</cost><ReadingQuality><quality>8</quality></ReadingQuality><timePeriod><duration>900</duration><start>1772323200</start></timePeriod><value>282</value></IntervalReading>
  <IntervalReading><timePeriod><duration>900</duration><start>1772324100</start></timePeriod><value>323</value></IntervalReading>
 </IntervalBlock></content></entry>
<entry><link rel="self" href="/espi/1_1/resource/ReadingType/07"/><title>Type of Meter Reading Data</title>
 <content><ReadingType xmlns="http://naesb.org/espi"><accumulationBehaviour>4</accumulationBehaviour><commodity>1</commodity><currency>840</currency>
  <dataQualifier>12</dataQualifier><flowDirection>1</flowDirection><intervalLength>900</intervalLength><kind>12</kind><phase>769</phase>
  <powerOfTenMultiplier>0</powerOfTenMultiplier><timeAttribute>0</timeAttribute><uom>72</uom></ReadingType></content></entry>
</feed>"""


def test_a_feed_whose_type_comes_last_is_energies_of_the_point_it_is_said_to_be(office):
    assert [(e.row, e.text, e.code) for e in office.looked(FEED, name="f.xml").looked.errors] == [
        (1, "Front Meter", "unknown"),
        (2, "Front Meter", "unknown"),
    ]
    assert office.take_in(FEED, name="f.xml", mapping={"meters": {"Front Meter": "P-1"}}).accepted == 2
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert [(r["start_at"], str(r["energy"]), r["status"], r["method"]) for r in office.store.intervals(point_ids=[1]).to_pylist()] == [
        (start, "0.2820", 1, "imported"),
        (start + timedelta(minutes=15), "0.3230", 0, "imported"),
    ]  # fmt: skip


MESSAGE = """<EventMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header><Verb>created</Verb><Noun>MeterReadings</Noun></Header>
<Payload><MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading>
 <IntervalBlocks><IntervalReadings><timeStamp>2026-11-18T06:45:00.000+08:00</timeStamp><value>6519.0955</value>
   <ReadingQualities><source>HES</source><ReadingQualityType ref="1.0.0"></ReadingQualityType></ReadingQualities>
   <ReadingQualities><comment>4057</comment><ReadingQualityType ref="5.4.260"></ReadingQualityType></ReadingQualities></IntervalReadings>
  <ReadingType ref="0.0.2.9.1.2.12.0.0.0.0.0.0.0.0.3.72.0"></ReadingType></IntervalBlocks>
 <IntervalBlocks><IntervalReadings><timeStamp>2026-11-18T06:45:00.000+08:00</timeStamp><value>250</value></IntervalReadings>
  <ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"></ReadingType></IntervalBlocks>
 <Meter><mRID>GUID-1</mRID><Names><name>000000000161</name><NameType><name>MeterUniqueID</name></NameType></Names></Meter>
 <Readings><timeStamp>2026-11-18T06:45:00Z</timeStamp><value>1</value><ReadingType ref="0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0"/></Readings>
</MeterReading></MeterReadings></Payload></EventMessage>"""


def test_a_head_ends_message_has_registers_energies_and_types_that_are_not_ours(office):
    looked = office.looked(MESSAGE, name="m.xml").looked
    assert [(e.row, e.text, e.code) for e in looked.errors] == [
        (3, "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0", "type")
    ]
    office.take_in(MESSAGE, name="m.xml", broken=Broken.SKIP)
    assert office.stored() == [(1, IMPORT, "11-17 22:45", "6519.0955")]
    [row] = office.store.intervals(point_ids=[1]).to_pylist()
    assert (row["start_at"], row["end_at"], row["energy"]) == (
        datetime(2026, 11, 17, 22, 30, tzinfo=UTC), datetime(2026, 11, 17, 22, 45, tzinfo=UTC), Decimal("0.2500"),
    )  # fmt: skip


def test_the_same_as_json_also_within_a_message(office):
    reading = {
        "Meter": {"Names": [{"name": "161"}]},
        "Readings": [
            {"timeStamp": "2026-11-18T06:45:00+08:00", "value": 230.4, "ReadingType": {"ref": "0.0.0.12.0.1.54.0.0.0.0.0.0.0.128.0.29.0"}},
            {"timeStamp": "yesterday", "value": "1", "ReadingType": {"ref": "0.0.0.12.0.1.54.0.0.0.0.0.0.0.128.0.29.0"}},
            {"timeStamp": "2026-11-18T06:45:00+08:00", "value": "x", "ReadingType": {"ref": "0.0.0.12.0.1.54.0.0.0.0.0.0.0.64.0.29.0"}},
        ],
    }  # fmt: skip
    message = json.dumps({"Payload": {"MeterReadings": {"MeterReading": [reading]}}})
    assert [(e.row, e.text, e.code) for e in office.looked(message, name="m.json").looked.errors] == [
        (2, "yesterday", "time"),
        (3, "x", "value"),
    ]
    office.take_in(message, name="m.json", broken=Broken.SKIP)
    assert office.stored() == [(1, "voltage_l1", "11-17 22:45", "230.4")]


BOMB = '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><feed>&b;</feed>'
XXE = '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed><entry>&x;</entry></feed>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "has a document type"),
        (XXE, "has a document type"),
        ("<feed>" + "<a>" * 100, "deep"),
        ("<feed><entry>", "not well-formed"),
        ("<html></html>", "of a kind that is not known here"),
        ("{", "is no JSON"),
        ("{}", "has no MeterReading"),
    ],
)
def test_what_is_malicious_or_broken_is_refused(office, content, said):
    with pytest.raises(FileUnreadable, match=said):
        office.looked(content, name="x")
