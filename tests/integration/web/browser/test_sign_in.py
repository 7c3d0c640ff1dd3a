"""Signing in with a real browser: the first password, where one is led, and out again."""

from wattkeeper.security.rights import Role
from wattkeeper.security.values import UserWanted


def test_a_first_sign_in_asks_for_a_password_of_ones_own_and_leads_to_where_one_wanted(visit, town):
    wanted = UserWanted(name="李工", role=Role.OPERATOR)
    _, first = town.security.users.add("li.gong", wanted, now=town.now)
    page = visit(language="zh")
    page.goto("/meters?search=107")
    assert "/sign-in" in page.url
    page.get_by_label("用户名").fill("Li.Gong")
    page.get_by_label("密码").fill(first)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url("**/password")
    page.get_by_label("当前密码").fill(first)
    page.get_by_label("新密码", exact=True).fill("a lamp above the bridge")
    page.get_by_label("再次输入新密码").fill("a lamp above the bridge")
    page.get_by_role("button", name="修改密码").click()
    page.wait_for_url("**/")
    assert page.get_by_role("link", name="总览").get_attribute("aria-current") == "page"
    page.get_by_role("button", name="退出").click()
    page.wait_for_url("**/sign-in")
    page.goto("/meters")
    assert "/sign-in" in page.url


def test_a_wrong_password_says_so_and_keeps_the_user_name(visit, town):
    page = visit()
    page.goto("/sign-in")
    page.get_by_label("User name").fill("nobody.here")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    assert "do not belong together" in page.get_by_role("status").inner_text()
    assert page.get_by_label("User name").input_value() == "nobody.here"


def test_sign_in_works_without_javascript(chromium, address, town):
    wanted = UserWanted(name="Plain", role=Role.ANALYST)
    with town.database.write() as session:
        town.security.users.add_in(session, "plain", wanted, now=town.now, password="a quiet river in autumn")
    with chromium.new_context(base_url=address, java_script_enabled=False, locale="en-GB") as context:
        page = context.new_page()
        page.goto("/sign-in?next=/bills")
        page.get_by_label("User name").fill("plain")
        page.get_by_label("Password").fill("a quiet river in autumn")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/bills")
        assert page.get_by_role("heading", name="Bills", level=1).is_visible()
