"""Troubles told in the visitor's language, by class and code; the rooms' own sentences stay as a detail."""

from zoneinfo import ZoneInfo

import pytest

from wattkeeper.billing.errors import BillingRefused, UnknownBill
from wattkeeper.collection.counts import Failure
from wattkeeper.collection.errors import ReadFailed
from wattkeeper.protocols.dlt645.frames import Frame
from wattkeeper.registry.errors import NotFound
from wattkeeper.web.language import language
from wattkeeper.web.queries.frames import shown
from wattkeeper.web.sayings import FAILURES, failure_said, said, status_said

SOUND = bytes.fromhex("FEFEFEFE6861010000000068910833333433593333338A16")


@pytest.fixture
def zh():
    return language("zh").at(ZoneInfo("Asia/Shanghai"))


@pytest.fixture
def en():
    return language("en").at(ZoneInfo("Asia/Shanghai"))


def test_an_error_is_told_in_chinese_and_keeps_its_own_sentence_as_a_detail(zh):
    told = said(ReadFailed("Meter 000000000161 was not read.", hint="Check its wiring."), zh)
    assert told.text == "电表没有给出可用的应答。"
    assert told.raw == "Meter 000000000161 was not read. Check its wiring."


def test_what_does_not_exist_is_named(zh):
    assert said(NotFound("meter", 4711), zh).text == "没有电表 4711。"
    assert said(NotFound("meter", 4711), zh).raw is None
    assert said(UnknownBill("There is no bill 9."), zh).text == "没有这张账单。"


def test_a_refused_bill_says_why_by_its_reason(zh):
    told = said(BillingRefused("Account 1 has bill 1-1.", reason="already_billed"), zh)
    assert (told.text, told.hint) == ("该户号在这段时间已经出账。", "如有错误，请先作废该账单。")


def test_english_shows_the_rooms_own_sentence(en):
    told = said(ReadFailed("Meter 161 was not read.", hint="Check its wiring."), en)
    assert (told.text, told.hint, told.raw) == ("Meter 161 was not read.", "Check its wiring.", None)


def test_a_page_that_does_not_exist_is_told_without_english(zh):
    assert status_said(404, "/nowhere", "Not Found: GET /nowhere.", zh).text == "没有这个页面：/nowhere"


def test_every_reason_the_collector_counts_has_its_sentence(zh):
    assert set(FAILURES) == {failure.value for failure in Failure}
    assert failure_said({"no_reply": 1, "garbled": 3}, zh).startswith("收到字节，但不是完整报文。")
    assert failure_said({"no_reply": 0, "garbled": 0}, zh) == ""


def test_a_sound_frame_is_explained_without_english(zh):
    values = {part.label: part.value for part in shown(SOUND, zh).parts}
    assert values["控制码"] == "应答 读数据"
    assert values["校验码"] == "正确"
    assert values["数据标识"] == "00010000 (当前)正向有功总电能"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (SOUND[:-2] + b"\x76\x16", "校验码为 76，应为 8A"),
        (SOUND[:-1] + b"\x17", "结束符不是 16"),
        (SOUND[:-6], "报文不完整"),
        (b"\x12\x34", "没有帧头"),
    ],
)
def test_a_broken_frame_says_which_part_is_wrong(zh, broken, why):
    assert shown(broken, zh).error == why


def test_the_load_record_somebody_came_for_is_marked(zh):
    content = bytes.fromhex("0000011126" + "AAAAAA" + "13314501" + "00000000" * 3 + "AAAAAA")
    block = b"\xa0\xa0" + bytes([len(content)]) + content
    block += bytes([sum(block) & 0xFF, 0xE5])
    frame = Frame("202603000001", 0x91, bytes.fromhex("01000406") + block).encode()
    assert not shown(frame, zh, recorded_at="2611010015").sought
    marked = [part for part in shown(frame, zh, recorded_at="2611010000").parts if part.sought]
    assert [part.label for part in marked][:3] == ["负荷记录起始", "负荷记录字节数", "存储时间 YYMMDDhhmm"]
    assert marked[0].octets == "D3 D3"
    assert "14531.13 kWh" in [part.value for part in marked]
