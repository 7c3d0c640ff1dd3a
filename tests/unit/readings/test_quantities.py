"""The catalogue: one name for everything a 2007 meter can say."""

import re

import pytest

from wattkeeper.readings.errors import UnknownQuantity
from wattkeeper.readings.quantities import QUANTITIES, Quantity, quantity


def test_every_entry_has_an_obis_code_a_unit_and_both_names():
    for key, entry in QUANTITIES.items():
        assert entry.key == key
        assert re.fullmatch(r"\d-\d:\d{1,3}\.\d{1,2}\.\d{1,3}", entry.obis), key
        assert entry.name_zh
        assert entry.name_en
        assert (entry.unit != "") != key.startswith("power_factor"), key


def test_no_two_quantities_share_a_code_but_a_maximum_and_its_moment():
    plain = [entry.obis for entry in QUANTITIES.values() if not entry.key.endswith("_occurred_at")]
    assert len(plain) == len(set(plain))


@pytest.mark.parametrize(
    ("key", "obis", "unit"),
    [
        ("active_energy_import", "1-0:1.8.0", "kWh"),
        ("active_energy_export_t4", "1-0:2.8.4", "kWh"),
        ("reactive_energy_q3", "1-0:7.8.0", "kvarh"),
        ("voltage_l2", "1-0:52.7.0", "V"),
        ("current_l3", "1-0:71.7.0", "A"),
        ("active_power", "1-0:16.7.0", "kW"),
        ("power_factor_l1", "1-0:33.7.0", ""),
        ("voltage_l31", "1-0:126.7.0", "V"),
        ("voltage_thd_l1", "1-0:32.7.124", "%"),
        ("current_thd_l3", "1-0:71.7.124", "%"),
        ("reactive_energy_q4_l3", "1-0:68.8.0", "kvarh"),
        ("active_energy_net", "1-0:16.8.0", "kWh"),
        ("reactive_demand_q2_max", "1-0:6.6.0", "kvar"),
        ("frequency", "1-0:14.7.0", "Hz"),
        ("active_demand_import_max", "1-0:1.6.0", "kW"),
        ("clock", "0-0:1.0.0", "s"),
    ],
)
def test_codes_are_those_of_iec_62056_6_1(key, obis, unit):
    assert (quantity(key).obis, quantity(key).unit) == (obis, unit)


def test_a_maximum_demand_knows_the_moment_it_occurred_at():
    moment = quantity("active_demand_import_max_t2").occurred_at_key
    assert moment == "active_demand_import_max_t2_occurred_at"
    assert quantity(moment).kind == "moment"
    assert quantity("active_demand_import").occurred_at_key is None


def test_every_moment_of_a_maximum_belongs_to_one():
    moments = {
        key for key, entry in QUANTITIES.items() if key.endswith("_occurred_at") and entry.kind == "moment"
    }
    assert moments == {entry.occurred_at_key for entry in QUANTITIES.values() if entry.occurred_at_key}


def test_only_combinations_of_two_directions_may_run_down():
    both = {key for key, entry in QUANTITIES.items() if entry.counts_both_ways}
    assert {
        "active_energy",
        "active_energy_t1",
        "reactive_energy_combined1",
        "reactive_energy_combined2_t4",
    } <= both
    assert not any("import" in key or "export" in key or "_q" in key for key in both)


def test_an_unknown_quantity_is_told_with_the_nearest_keys():
    with pytest.raises(UnknownQuantity, match="active_energy_import") as error:
        quantity("active_energy_imprt")
    assert error.value.key == "active_energy_imprt"


def test_entries_are_values():
    assert quantity("frequency") == Quantity(
        "frequency", "1-0:14.7.0", "Hz", "instantaneous", "电网频率", "Frequency", 2
    )
