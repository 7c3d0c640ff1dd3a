"""Every request is byte for byte what the standard's text gives."""

import json
from datetime import datetime

import pytest

from wattkeeper.protocols.dlt645 import RequestError, requests

METER = "000000000161"
LEVEL_2 = requests.Access(2, "123456", "12345678")
LEVEL_4 = requests.Access(4, "123456", "12345678")
UNTIL = datetime(2025, 12, 31, 23, 59, 59)  # noqa: DTZ001 - a meter's clock
AT = datetime(2025, 11, 2, 23, 59, 58)  # noqa: DTZ001

REQUESTS = {
    "read_total_fwd": requests.read(METER, "00010000"),
    "wild_short": requests.read("AAAAAAAA0161", "00010000"),
    "more_req1": requests.read_next(METER, "00010000", 1),
    "read_addr": requests.read_address(),
    "set_addr": requests.write_address("000000000162"),
    "bcast_time": requests.broadcast_time(AT),
    "bcast_freeze": requests.freeze("999999999999"),
    "freeze_hourly": requests.freeze(METER, "99999930"),
    "freeze_monthly": requests.freeze(METER, "99010000"),
    "baud_9600": requests.change_baud(METER, 9600),
    "pw_change": requests.change_password(
        METER, "04000C03", old=requests.Access(2, "123456"), new=requests.Access(2, "654321")
    ),
    "demand_clear": requests.clear_demand(METER, access=LEVEL_4),
    "meter_clear": requests.clear_meter(METER, access=LEVEL_2),
    "event_clear_all": requests.clear_events(METER, access=LEVEL_2),
    "event_clear_one": requests.clear_events(METER, "030100FF", access=LEVEL_2),
    "write_date": requests.write(METER, "04000101", bytes.fromhex("00021125"), access=LEVEL_4),
    "load_req_latest": requests.read(METER, "06000002", requests.load_record_tail(1)),
    "load_req_from": requests.read(METER, "06000001", requests.load_record_tail(2, AT.replace(minute=45))),
    **{
        f"relay_{action}": requests.relay(METER, action, access=LEVEL_2, valid_until=UNTIL)
        for action in requests.RELAY_ACTIONS
    },
}


def test_every_request_is_what_the_text_of_the_standard_gives(shared):
    path = shared / "cases/dlt645_constructed_vectors.jsonl"
    expected = {case["name"]: case["hex"] for case in map(json.loads, path.read_text("utf-8").splitlines())}
    for name, frame in REQUESTS.items():
        assert frame.encode(0).hex().upper() == expected[name].lstrip("FE"), name


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: requests.read_next(METER, "00010000", 0),
        lambda: requests.read_next(METER, "00010000", 256),
        lambda: requests.load_record_tail(0),
        lambda: requests.load_record_tail(100),
        lambda: requests.write_address("AAAAAAAAAAAA"),
        lambda: requests.freeze(METER, "9999"),
        lambda: requests.change_baud(METER, 115200),
        lambda: requests.relay(METER, "explode", access=LEVEL_2, valid_until=UNTIL),
        lambda: requests.clear_meter(METER, access=requests.Access(2, "12345")),
        lambda: requests.clear_meter("AAAA", access=LEVEL_2),
    ],
)
def test_what_the_standard_cannot_say_is_refused(wrong):
    with pytest.raises(RequestError):
        wrong()
