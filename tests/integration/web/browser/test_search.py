"""Ctrl-K finds, arrows choose, Enter opens; and a list's files follow its filter."""

import io

import pytest
from python_calamine import CalamineWorkbook


def test_ctrl_k_finds_a_meter_and_enter_opens_it(visit, administrator, town):
    page = visit(administrator)
    page.goto("/bills")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search everything")
    page.get_by_role("option", name="Tariffs").wait_for()  # pages, while nothing is typed
    field.type("00000000010")
    page.locator('#hits [data-for="00000000010"]').wait_for(
        state="attached"
    )  # not the answer to fewer letters
    chosen = page.locator('#hits a[aria-selected="true"]')
    assert chosen.locator("b").inner_text() == "000000000100"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert chosen.locator("b").inner_text() == "000000000101"
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/meters/{town.meters['000000000101']}")


def test_escape_and_a_second_ctrl_k_close_the_dialog(visit, administrator):
    page = visit(administrator)
    page.goto("/meters")
    dialog = page.locator("#finder")
    for closing in ("Escape", "Control+k"):
        page.keyboard.press("Control+k")
        assert dialog.is_visible()
        page.keyboard.type("101")
        page.keyboard.press(closing)
        assert dialog.is_hidden()
    page.keyboard.press("/")  # the list's own field
    assert page.evaluate("document.activeElement.id") == "search"


def test_enter_before_the_answer_is_there_asks_as_a_page(visit, administrator):
    page = visit(administrator)
    page.goto("/meters")
    page.keyboard.press("Control+k")
    page.locator("#hits [role=option]").first.wait_for()
    page.keyboard.type("000000000105")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "q=000000000105" in url or "/meters/" in url)


def test_the_search_button_works_on_a_phone(visit, administrator):
    page = visit(administrator, language="zh", phone=True)
    page.goto("/meters")
    page.locator("a.find").tap()
    page.get_by_role("combobox", name="全局搜索").fill("物业")
    page.get_by_role("option", name="物业办公室").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_files_of_a_list_follow_its_filter(visit, administrator):
    page = visit(administrator)
    page.goto("/meters")
    page.locator("#search").fill("00000000010")
    page.wait_for_url("**search=00000000010**")
    page.locator("details.exports summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Excel").click()
    assert download.value.suggested_filename == "Meters 2026-11-22.xlsx"
    content = io.BytesIO(download.value.path().read_bytes())
    assert len(CalamineWorkbook.from_filelike(content).get_sheet_by_index(0).to_python()) == 11


@pytest.mark.parametrize(
    "look", [{"theme": "dark"}, {"language": "zh", "phone": True}], ids=["dark", "phone"]
)
def test_the_open_dialog_is_accessible(visit, administrator, serious, look):
    page = visit(administrator, **look)
    page.goto("/links")
    page.locator("a.find").click()
    page.locator("#finder input").fill("0000")
    page.locator("#hits mark").first.wait_for()
    assert serious(page) == []
    page.locator("#finder input").fill("nobody at all")
    page.locator("#hits .empty").wait_for()
    assert serious(page) == []
