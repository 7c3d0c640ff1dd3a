"""What findings say, in both languages."""

import dataclasses
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.limits import SEVERITIES, Code
from wattkeeper.monitoring.models import NoticeKind, SubjectKind
from wattkeeper.monitoring.values import FindingView
from wattkeeper.monitoring.words import CODES, advice_of, message_of, name_of, rule_of, sentence_of

RAISED = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)
VOLTAGE = {
    "quantity": "voltage_l1", "value": "248.3", "read": "248.3", "unit": "V", "limit": "235.4", "exchange_id": "12",
}  # fmt: skip


def finding(code, evidence, **changes):
    kind = SubjectKind.LINK if code.startswith("link") else SubjectKind.METER
    base = FindingView(
        id=5, code=code, severity=Severity.WARNING, subject_kind=kind, subject_id=1, subject_name="000000000161",
        place="3号楼201室", raised_at=RAISED, updated_at=RAISED, cleared_at=None, clear_reason=None, occurrences=1,
        evidence=evidence, acknowledged_at=None, acknowledged_by=None, acknowledged_note=None,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize(
    ("code", "evidence", "zh", "en"),
    [
        ("meter_silent", {"failures": 3}, "电表 000000000161 无应答", "Meter 000000000161 does not answer"),
        (
            "voltage_high",
            VOLTAGE,
            "电表 000000000161 A相电压越上限：248.3 V > 235.4 V",
            "Meter 000000000161: Voltage L1 too high, 248.3 V > 235.4 V",
        ),
        (
            "voltage_high",
            VOLTAGE | {"worst": VOLTAGE | {"quantity": "voltage_l2", "value": "251"}},
            "电表 000000000161 B相电压越上限：251.0 V > 235.4 V",
            "Meter 000000000161: Voltage L2 too high, 251.0 V > 235.4 V",
        ),
        (
            "clock_off",
            {"deviation_s": -3725, "limit_s": 300},
            "电表 000000000161 时钟偏慢 1 小时 2 分，超过 5 分",
            "The clock of meter 000000000161 is 1 h 2 min slow, more than 5 min",
        ),
        (
            "link_silent",
            {"silent": 3, "meters": 200},
            "通道 000000000161 已连通，但其下电表无应答（3/200 块）",
            "Link 000000000161 is open, but its meters do not answer (3 of 200)",
        ),
    ],
)
def test_a_finding_says_what_and_how_much(code, evidence, zh, en):
    assert sentence_of(finding(code, evidence), "zh") == zh
    assert sentence_of(finding(code, evidence), "en") == en


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_words_in_both_languages_and_a_severity(code):
    assert code in SEVERITIES
    for told in (name_of, rule_of, advice_of):
        chinese, english = told(code, "zh"), told(code, "en")
        assert re.search(r"[\u4e00-\u9fff]", chinese)
        assert english
        assert not re.search(r"[\u4e00-\u9fff]", english)
        assert not re.search(r"[\u4e00-\u9fff][,:;]", chinese), "Chinese sentences have Chinese punctuation"
    assert set(CODES) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_evidence_that_lacks_something_still_makes_a_sentence(code):
    assert "{" not in sentence_of(finding(code, {}), "zh")


def test_a_notice_says_where_since_when_by_which_rule_and_leads_to_the_alarm():
    subject, text = message_of(
        finding("voltage_high", VOLTAGE), NoticeKind.RAISED, "en", zone=ZoneInfo("Asia/Shanghai"),
        url="https://meters.example.org/alarms/5",
    )  # fmt: skip
    assert subject == "[warning] Meter 000000000161: Voltage L1 too high, 248.3 V > 235.4 V"
    lines = text.splitlines()
    assert lines[2] == "Where: 3号楼201室"
    assert lines[3] == "Since: 2026-11-22 17:37:05 (Asia/Shanghai)"
    assert lines[4].startswith("Rule: GB/T 12325-2008, 4.3: 220 V single phase")
    assert lines[6] == "Details: https://meters.example.org/alarms/5"


def test_a_notice_of_the_end_says_why():
    over = finding("meter_silent", {}, cleared_at=RAISED, clear_reason="answers")
    subject, text = message_of(over, NoticeKind.CLEARED, "zh", zone=ZoneInfo("Asia/Shanghai"))
    assert subject == "【告警解除】电表 000000000161 无应答"
    assert "解除时间：2026-11-22 17:37:05 (Asia/Shanghai)（已恢复应答）" in text
    assert "详情" not in text


def test_the_examples_of_the_words_hold():
    import doctest

    from wattkeeper.monitoring import notices, words

    for module in (words, notices):
        assert doctest.testmod(module).failed == 0
