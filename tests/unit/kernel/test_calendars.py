"""Days are what the State Council's notices say; a year without a notice is not guessed."""

from datetime import date
from threading import Thread

import pytest

from wattkeeper.kernel.calendars import Calendar, CalendarUnknown, CalendarYearUnknown, DayKind

CHINA = Calendar.china()


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        pytest.param(date(2024, 2, 4), DayKind.WORKDAY, id="sunday_worked_for_spring_festival"),
        pytest.param(date(2024, 2, 10), DayKind.HOLIDAY, id="spring_festival"),
        pytest.param(date(2024, 2, 16), DayKind.HOLIDAY, id="friday_of_spring_festival"),
        pytest.param(date(2024, 2, 18), DayKind.WORKDAY, id="sunday_worked_after_spring_festival"),
        pytest.param(date(2024, 2, 19), DayKind.WORKDAY, id="monday_after_spring_festival"),
        pytest.param(date(2024, 2, 25), DayKind.WEEKEND, id="ordinary_sunday"),
        pytest.param(date(2024, 4, 4), DayKind.HOLIDAY, id="tomb_sweeping"),
        pytest.param(date(2024, 4, 7), DayKind.WORKDAY, id="sunday_worked_for_tomb_sweeping"),
        pytest.param(date(2024, 5, 11), DayKind.WORKDAY, id="saturday_worked_for_labour_day"),
        pytest.param(date(2024, 9, 14), DayKind.WORKDAY, id="saturday_worked_for_mid_autumn"),
        pytest.param(date(2024, 10, 1), DayKind.HOLIDAY, id="national_day"),
        pytest.param(date(2024, 10, 7), DayKind.HOLIDAY, id="last_day_of_national_day"),
        pytest.param(date(2024, 10, 8), DayKind.WORKDAY, id="tuesday_after_national_day"),
        pytest.param(
            date(2006, 12, 30), DayKind.WORKDAY, id="saturday_worked_by_the_notice_of_the_next_year"
        ),
        pytest.param(date(2024, 2, 17), DayKind.WEEKEND, id="saturday_inside_the_days_off"),
        pytest.param(date(2025, 1, 26), DayKind.WORKDAY, id="sunday_worked_for_spring_festival_2025"),
    ],
)
def test_the_official_days_of_china(day, kind):
    assert CHINA.kind_of(day) is kind


def test_a_year_without_a_notice_is_not_guessed():
    assert (CHINA.covers(2024), CHINA.covers(2099)) == (True, False)
    with pytest.raises(CalendarYearUnknown, match="2099") as unknown:
        CHINA.kind_of(date(2099, 10, 1))
    assert "Update Wattkeeper" in unknown.value.hint


def test_a_single_day_can_be_decided_by_hand():
    calendar = Calendar.china(
        overrides={date(2024, 10, 1): DayKind.WORKDAY, date(2099, 10, 1): DayKind.HOLIDAY}
    )
    assert calendar.kind_of(date(2024, 10, 1)) is DayKind.WORKDAY
    assert calendar.kind_of(date(2099, 10, 1)) is DayKind.HOLIDAY
    with pytest.raises(CalendarYearUnknown):
        calendar.kind_of(date(2099, 10, 2))


def test_a_whole_year_can_be_entered_by_hand():
    days = {date(2099, 10, 1): DayKind.HOLIDAY, date(2099, 10, 10): DayKind.WORKDAY}
    calendar = Calendar.china(overrides=days, complete_years=[2099])
    kinds = [calendar.kind_of(date(2099, 10, day)) for day in (1, 2, 3, 10)]
    assert kinds == [DayKind.HOLIDAY, DayKind.WORKDAY, DayKind.WEEKEND, DayKind.WORKDAY]


def test_a_country_without_moved_weekends_needs_no_notice():
    germany = Calendar("DE")
    assert germany.kind_of(date(2099, 12, 25)) is DayKind.HOLIDAY
    assert germany.kind_of(date(2024, 5, 4)) is DayKind.WEEKEND


def test_a_plain_calendar_knows_weekends_of_any_year():
    plain = Calendar.plain(overrides={date(2024, 5, 6): DayKind.HOLIDAY})
    assert [plain.kind_of(date(2024, 5, day)) for day in (3, 4, 5, 6)] == [
        DayKind.WORKDAY,
        DayKind.WEEKEND,
        DayKind.WEEKEND,
        DayKind.HOLIDAY,
    ]
    assert plain.covers(1)


def test_a_country_without_a_calendar_is_refused():
    with pytest.raises(CalendarUnknown, match="'XX'"):
        Calendar("XX")


def test_many_threads_asking_at_once_get_the_same_answer():
    answers: list[DayKind] = []
    threads = [
        Thread(target=lambda: answers.append(Calendar.china().kind_of(date(2019, 5, 5)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [DayKind.WORKDAY] * 8
