"""A Modbus meter's model is a register map: told when the meter is saved, with the side of transformers it shows."""

from dataclasses import replace
from html import unescape

import pytest
from sqlalchemy import delete, func, select
from starlette.testclient import TestClient
from tests.integration.web.conftest import signed_in

from wattkeeper.collection.drivers.modbus_maps import known_maps, side_of_maps
from wattkeeper.registry.models import Meter
from wattkeeper.web.application import create_application

PRIMARY, SECONDARY = "eastron-sdm630", "acrel-adl3000"
MAP = 'name = "our-meter"\nmaker = "Us"\nsource = "a test"\nshows = "secondary"\naddressing = "wire"\n[registers.voltage_l1]\naddress = 0\ntype = "uint16"\nunit = "V"\n'
METER = {"address": "7", "link": "north", "protocol": "modbus-rtu", "model": PRIMARY, "shows": "primary"}
FORM = METER | {"register_digits": "6", "register_decimals": "2", "max_current_a": "", "enabled": "true"}
HEADINGS = "Meter address,Link code,Protocol,Model,Shows,Point code,Installed at"


@pytest.fixture(scope="module")
def english(town, administrator, tmp_path_factory):
    """An administrator of an installation with a register map of its own."""
    folder = tmp_path_factory.mktemp("maps")
    (folder / "our-meter.toml").write_text(MAP, encoding="utf-8")
    services = replace(town.services(), side_of=side_of_maps(known_maps(folder)))
    with TestClient(create_application(services)) as browser:
        yield signed_in(browser.app, administrator)


@pytest.fixture(autouse=True)
def no_meter_left(town):
    yield
    with town.database.write() as session:
        session.execute(delete(Meter).where(Meter.protocol == "modbus-rtu"))


def modbus_meters(town) -> int:
    with town.database.read() as session:
        return session.scalar(select(func.count()).select_from(Meter).where(Meter.protocol == "modbus-rtu"))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({"model": "eastron-sdm63"}, "There is no register map 'eastron-sdm63'. Did you mean eastron-sdm630?", id="no such map"),
        pytest.param({"model": ""}, "A Modbus meter needs a register map as its model.", id="no map"),
        pytest.param({"shows": "secondary"}, f"A meter of the model {PRIMARY} shows primary values, not secondary ones.", id="map of primary values"),
        pytest.param({"model": SECONDARY}, f"A meter of the model {SECONDARY} shows secondary values, not primary ones.", id="map of secondary values"),
        pytest.param({"model": "our-meter"}, "A meter of the model our-meter shows secondary values", id="map of the user"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_when_the_meter_is_saved(town, english, said, problem):
    refused = english.post("/meters/new", data=FORM | said)
    assert refused.status_code == 422
    assert problem in unescape(refused.text)
    if said.get("model") != "":
        answer = english.post("/api/v1/meters", json=METER | said)
        assert (answer.status_code, problem in answer.json()["detail"]) == (422, True)
    assert modbus_meters(town) == 0


@pytest.mark.parametrize(
    ("model", "shows"), [(PRIMARY, "primary"), (SECONDARY, "secondary"), ("our-meter", "secondary")]
)
def test_a_meter_of_which_nothing_is_said_shows_what_its_map_does(english, model, shows):
    said = {key: value for key, value in METER.items() if key != "shows"}
    made = english.post("/api/v1/meters", json=said | {"model": model})
    assert (made.status_code, made.json()["shows"]) == (201, shows)


def test_a_change_is_held_to_the_map_too(english):
    meter = english.post("/api/v1/meters", json=METER).json()["id"]
    refused = english.patch(f"/api/v1/meters/{meter}", json={"model": SECONDARY})
    assert (refused.status_code, "shows secondary values" in refused.json()["detail"]) == (422, True)
    both = english.patch(f"/api/v1/meters/{meter}", json={"model": SECONDARY, "shows": "secondary"})
    assert both.json()["shows"] == "secondary"
    assert english.patch(f"/api/v1/meters/{meter}", json={"enabled": False}).status_code == 200


def test_an_import_tells_the_cell(english):
    rows = [
        ["7", "north", "modbus-rtu", "nobody-s", "", "M1", "2026-11-01"],
        ["8", "north", "modbus-rtu", PRIMARY, "secondary", "M2", "2026-11-01"],
        ["9", "north", "modbus-rtu", PRIMARY, "", "M3", "2026-11-01"],
    ]
    content = "\n".join([HEADINGS, *map(",".join, rows)]).encode()
    looked = english.post("/api/v1/import/preview", files={"file": ("meters.csv", content)}).json()
    wrong = [(error["row"], error["column"], error["message"]) for error in looked["errors"]]
    assert wrong == [
        (2, "model", "There is no register map 'nobody-s'."),
        (3, "shows", f"A meter of the model {PRIMARY} shows primary values, not secondary ones."),
    ]
