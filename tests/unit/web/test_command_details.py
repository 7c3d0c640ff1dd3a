"""Why a command failed is kept as a code with its facts, and said in the language of whoever looks."""

import pytest

from wattkeeper.collection.commands.details import CODES, Detail, detail_of
from wattkeeper.links.errors import LinkLost, LinkUnavailable, NoReply
from wattkeeper.protocols.dlt645.errors import BodyError, MeterRefused
from wattkeeper.web.language import language
from wattkeeper.web.queries.command_details import DETAILS, detail_tag, detail_text

ZH, EN = language("zh"), language("en")


@pytest.mark.parametrize(
    ("error", "code", "zh"),
    [
        pytest.param(
            MeterRefused(address="000000000161", identifier="", bits=0x05, what="trip"),
            "refused",
            "电表答复：其他错误、密码错/未授权（ERR 05H）。",
            id="refused",
        ),
        pytest.param(
            MeterRefused(address="000000000161", identifier="9010", bits=0x02, edition=1997),
            "refused",
            "电表答复：数据标识错（ERR 02H）。",
            id="refused by 1997",
        ),
        pytest.param(
            NoReply("meter 161 reading 04000503", attempts=3, waited=4.52),
            "no_reply",
            "4.5 秒内询问 3 次，无应答。",
            id="silence",
        ),
        pytest.param(
            NoReply("meter 161", attempts=1, waited=2, octets=7),
            "garbled",
            "2 秒内询问 1 次，收到 7 字节，但没有完整的应答。",
            id="half a reply",
        ),
        pytest.param(
            LinkUnavailable("10.0.0.1:1 did not answer."), "link_unavailable", "通道打不开。", id="link"
        ),
        pytest.param(LinkLost("It broke."), "link_lost", "询问电表时通道中断。", id="link lost"),
        pytest.param(BodyError("04000503", "2 bytes"), "unreadable", "电表的应答无法解读。", id="nonsense"),
    ],
)
def test_what_a_request_raised_is_said_in_both_languages_after_it_was_kept(error, code, zh):
    why = Detail.read(detail_of(error).kept)
    assert (why.code, why.said) == (code, str(error))
    assert (detail_text(why, ZH), detail_tag(why, ZH)) == (zh, "zh-CN")
    assert (detail_text(why, EN), detail_tag(why, EN)) == (str(error), "en")


def test_a_sentence_of_before_stays_as_it_was_and_is_marked_as_english():
    why = Detail.read("Meter 161 refused: wrong password.")
    assert (detail_text(why, ZH), detail_tag(why, ZH)) == ("Meter 161 refused: wrong password.", "en")


def test_what_did_not_fail_has_no_reason():
    assert detail_of(None) is None
    assert Detail.read(None) is None
    assert detail_text(None, ZH) == ""


def test_every_code_has_words():
    assert set(DETAILS) == set(CODES)
