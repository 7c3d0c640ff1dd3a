"""Users, profiles, the audit and jobs, as people and programs work with them."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.integration.web.conftest import NOW, PASSWORD, add_user, session_of, signed_in

from wattkeeper.kernel.jobs import Job, JobQueue, JobState
from wattkeeper.kernel.timerange import TimeRange
from wattkeeper.security.rights import Right, Role
from wattkeeper.web.access import COOKIE

OWN = "four words in spring"
SECRET = re.compile(r"<code>([^<]+)</code>")


@pytest.fixture(autouse=True)
def steady_clock(town):
    """Every test begins at the same instant."""
    yield
    town.now = NOW


def fresh(browser, *, token: str | None = None, language: str = "en"):
    """A browser without a session, or a program with a token."""
    opened = signed_in(browser.app, "", language=language)
    opened.cookies.clear()
    if token:
        opened.headers["authorization"] = f"Bearer {token}"
    return opened


def secret_of(answer) -> str:
    return SECRET.search(answer.text)[1]


def user_id(client, login: str) -> int:
    found = client.get("/api/v1/users", params={"search": login}).json()["items"]
    return next(item["id"] for item in found if item["login"] == login)


def test_a_new_user_chooses_a_password_first_and_then_works(english, browser):
    form = {"login": "Li.Na", "name": "李娜", "role": "operator", "email": "li@example.org"}
    created = english.post("/users/new", data=form)
    assert (created.status_code, created.headers["cache-control"]) == (200, "no-store")
    first = secret_of(created)
    newcomer = fresh(browser)
    entered = newcomer.post("/sign-in", data={"login": "li.na", "password": first}, follow_redirects=False)
    assert entered.headers["location"] == "/password"
    assert newcomer.get("/meters", follow_redirects=False).headers["location"] == "/password"
    assert newcomer.get("/api/v1/me").status_code == 403
    chosen = {"present": first, "new": OWN, "again": OWN}
    assert newcomer.post("/password", data=chosen, follow_redirects=False).headers["location"] == "/"
    assert newcomer.get("/meters").status_code == 200
    me = newcomer.get("/api/v1/me").json()
    assert (me["login"], me["name"], me["role"], me["sites"]) == ("li.na", "李娜", "operator", [])
    assert first not in english.get("/users").text


def test_what_the_form_got_wrong_is_told_beside_what_was_entered(client):
    answer = client.post("/users/new", data={"login": "chief", "name": "另一位", "role": "operator"})
    assert answer.status_code == 409
    assert "这个用户名已有人使用" in answer.text
    assert 'value="另一位"' in answer.text


def test_a_customer_user_belongs_to_the_customer_of_a_code_or_name(english, town):
    wanted = {"login": "tenant", "name": "Tenant", "role": "customer", "customer": "C003", "area": "1"}
    assert english.post("/users/new", data=wanted).status_code == 200
    made = english.get(f"/api/v1/users/{user_id(english, 'tenant')}").json()
    with town.database.read() as session:
        customer = town.services().registry(session).customer_by_code("C003")
    assert (made["customer_id"], made["areas"]) == (customer.id, [])
    refused = english.post("/users/new", data=wanted | {"login": "nobody", "customer": "C999"})
    assert refused.status_code == 409
    assert "There is no customer" in refused.text
    offered = english.get("/users/customers", params={"customer": "C00"}).text
    assert offered.count("<option") == 10


def test_users_are_found_filtered_paged_and_exported(english, town):
    add_user(town, "finder.one", Role.ANALYST)
    add_user(town, "finder.two", Role.CLERK)
    assert "finder.one" in english.get("/users", params={"search": "FINDER"}).text
    clerks = english.get("/users", params={"search": "finder", "role": "clerk"}).text
    assert ("finder.two" in clerks, "finder.one" in clerks) == (True, False)
    first = english.get("/api/v1/users", params={"search": "finder", "limit": 1}).json()
    rest = english.get(
        "/api/v1/users", params={"search": "finder", "limit": 1, "after": first["next"]}
    ).json()
    assert [item["login"] for item in first["items"] + rest["items"]] == ["finder.one", "finder.two"]
    assert (first["total"], rest["next"]) == (2, None)
    assert "finder.two" in english.get("/users.csv", params={"search": "finder"}).text
    assert "No user matches" in english.get("/users", params={"search": "nobody at all"}).text


def test_changing_role_and_areas_takes_effect_at_once(english, browser, town):
    secret = add_user(town, "changing", Role.ADMINISTRATOR)
    theirs = signed_in(browser.app, secret)
    assert theirs.get("/users").status_code == 200
    number = user_id(english, "changing")
    form = {"name": "Changing", "role": "administrator", "area": ["2", "3"]}
    assert english.post(f"/users/{number}", data=form).status_code == 200
    assert theirs.get("/users").status_code == 403
    me = theirs.get("/api/v1/me").json()
    assert me["areas"] == [2, 3]
    assert not {"users.manage", "audit.view", "registry.edit"} & set(me["rights"])
    page = english.get(f"/users/{number}").text
    assert len(re.findall(r'name="area" value="[23]" checked', page)) == 2


def test_a_reset_ends_the_sessions_and_leaves_a_password_to_be_changed(english, browser, town):
    secret = add_user(town, "forgetful", Role.CLERK)
    theirs = signed_in(browser.app, secret)
    assert theirs.get("/bills").status_code == 200
    answer = english.post(f"/users/{user_id(english, 'forgetful')}/reset-password")
    assert answer.headers["cache-control"] == "no-store"
    assert theirs.get("/bills", follow_redirects=False).headers["location"].startswith("/sign-in")
    again = fresh(browser)
    entered = again.post(
        "/sign-in", data={"login": "forgetful", "password": secret_of(answer)}, follow_redirects=False
    )
    assert entered.headers["location"] == "/password"


def test_disabling_keeps_a_user_and_their_tokens_out_until_they_are_enabled(english, browser, town):
    secret = add_user(town, "leaving", Role.OPERATOR)
    theirs = signed_in(browser.app, secret)
    made = theirs.post("/api/v1/me/tokens", json={"name": "reader", "rights": ["meters.view"]}).json()
    program = fresh(browser, token=made["secret"])
    number = user_id(english, "leaving")
    assert english.post(f"/users/{number}/disable").status_code == 200
    assert theirs.get("/api/v1/meters").status_code == 401
    assert program.get("/api/v1/meters").status_code == 401
    assert "Let this user in again" in english.get(f"/users/{number}").text
    english.post(f"/users/{number}/enable")
    assert program.get("/api/v1/meters").status_code == 200


def test_nobody_locks_themselves_out(client, english):
    number = user_id(english, "chief")
    for path in ("disable", "reset-password"):
        answer = client.post(f"/users/{number}/{path}")
        assert answer.status_code == 409
        assert "不能把自己挡在门外" in answer.text
        told = client.post(f"/api/v1/users/{number}/{path}")
        assert (told.status_code, told.json()["type"]) == (409, "urn:wattkeeper:problem:user-refused")
    demoted = {"name": "Chief", "role": "operator"}
    assert client.post(f"/users/{number}", data=demoted).status_code == 409
    assert client.put(f"/api/v1/users/{number}", json=demoted).status_code == 409
    assert "This is you" in english.get(f"/users/{number}").text


def test_a_limited_administrator_has_no_say_over_users(browser, town):
    secret = add_user(town, "limited", Role.ADMINISTRATOR, areas=frozenset({2}))
    theirs = signed_in(browser.app, secret)
    paths = [
        "/users",
        "/users/new",
        "/users/1",
        "/audit",
        "/jobs",
        "/api/v1/users",
        "/api/v1/audit",
        "/api/v1/jobs",
    ]
    assert {path: theirs.get(path).status_code for path in paths} == dict.fromkeys(paths, 403)
    assert 'href="/users"' not in theirs.get("/meters").text


def test_an_administrator_ends_a_session_and_revokes_a_token_of_a_user(english, browser, town):
    secret = add_user(town, "watched", Role.OPERATOR)
    theirs = signed_in(browser.app, secret)
    made = theirs.post("/api/v1/me/tokens", json={"name": "reader", "rights": ["meters.view"]}).json()
    number = user_id(english, "watched")
    (session,) = english.get(f"/api/v1/users/{number}/sessions").json()
    english.post(f"/users/{number}/sessions/{session['id']}/end")
    assert theirs.get("/api/v1/me").status_code == 401
    english.post(f"/users/{number}/tokens/{made['token']['id']}/revoke")
    assert fresh(browser, token=made["secret"]).get("/api/v1/me").status_code == 401
    gone = english.post(f"/users/{number}/sessions/{session['id']}/end")
    assert (gone.status_code, "That session" in gone.text or "There is no session" in gone.text) == (
        404,
        True,
    )
    acts = english.get("/api/v1/audit", params={"subject_kind": "user", "subject_id": number}).json()["items"]
    assert "session.revoke" in {act["action"] for act in acts}


def test_a_profile_shows_ones_browsers_and_signs_the_others_out(browser, town):
    here = signed_in(browser.app, add_user(town, "traveller", Role.ANALYST))
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"
    phone = fresh(browser)
    phone.headers["user-agent"] = agent
    phone.post("/sign-in", data={"login": "traveller", "password": PASSWORD})
    page = here.get("/profile").text
    assert "Safari on iPhone" in page
    assert page.count("this browser") == 1
    assert here.post("/profile/sessions/end-others").status_code == 200
    assert phone.get("/api/v1/me").status_code == 401
    assert len(here.get("/api/v1/me/sessions").json()) == 1


def test_nobody_ends_the_session_or_revokes_the_token_of_another(browser, english, town):
    secret = add_user(town, "victim", Role.OPERATOR)
    theirs = signed_in(browser.app, secret)
    made = theirs.post("/api/v1/me/tokens", json={"name": "reader", "rights": ["meters.view"]}).json()
    (session,) = theirs.get("/api/v1/me/sessions").json()
    attacker = signed_in(browser.app, add_user(town, "attacker", Role.OPERATOR))
    assert attacker.delete(f"/api/v1/me/sessions/{session['id']}").status_code == 404
    assert attacker.delete(f"/api/v1/me/tokens/{made['token']['id']}").status_code == 404
    assert attacker.post(f"/profile/sessions/{session['id']}/end").status_code == 404
    assert attacker.post(f"/profile/tokens/{made['token']['id']}/revoke").status_code == 404
    assert theirs.get("/api/v1/me").status_code == 200


def test_a_customer_has_a_profile_without_tokens(browser, town):
    with town.database.read() as session:
        customer = town.services().registry(session).customer_by_code("C004")
    theirs = signed_in(browser.app, add_user(town, "resident", Role.CUSTOMER, customer_id=customer.id))
    page = theirs.get("/profile")
    assert page.status_code == 200
    assert "Change password" in page.text
    assert "/profile/tokens" not in page.text
    assert theirs.get("/api/v1/me").json()["rights"] == ["portal"]
    assert theirs.get("/api/v1/me/tokens").status_code == 403


def test_a_token_is_shown_once_and_does_exactly_what_it_was_given(browser, town):
    owner = signed_in(browser.app, add_user(town, "programmer", Role.OPERATOR))
    form = {"name": "夜间导出", "right": ["meters.view", "links.view"], "days": "30"}
    answer = owner.post("/profile/tokens", data=form)
    secret = secret_of(answer)
    assert (answer.headers["cache-control"], "curl -H" in answer.text) == ("no-store", True)
    assert secret not in owner.get("/profile").text
    program = fresh(browser, token=secret)
    me = program.get("/api/v1/me").json()
    assert (me["kind"], me["token_name"], me["rights"]) == (
        "token",
        "夜间导出",
        ["links.view", "meters.view"],
    )
    reached = {
        path: program.get(f"/api/v1/{path}").status_code
        for path in ("meters", "links", "jobs", "bills", "users", "me/tokens", "me/sessions")
    }
    assert reached == {
        "meters": 200, "links": 200, "jobs": 403, "bills": 403, "users": 403, "me/tokens": 403, "me/sessions": 403,
    }  # fmt: skip
    changed = program.post("/password", data={"present": PASSWORD, "new": OWN, "again": OWN})
    assert changed.status_code == 403
    town.now = NOW + timedelta(days=30)
    assert program.get("/api/v1/me").status_code == 401


def test_a_token_cannot_have_more_than_its_owner(browser, town):
    owner = signed_in(browser.app, add_user(town, "modest", Role.ANALYST))
    answer = owner.post("/profile/tokens", data={"name": "x", "right": ["users.manage"], "days": "30"})
    assert (answer.status_code, "This token cannot be given users.manage" in answer.text) == (409, True)
    assert owner.post("/api/v1/me/tokens", json={"name": "x", "rights": ["bills.run"]}).status_code == 409
    assert owner.get("/api/v1/me/tokens").json() == []


def test_a_repeated_token_request_keeps_its_secret_nowhere(browser, town):
    owner = signed_in(browser.app, add_user(town, "repeating", Role.ANALYST))
    wanted = {"name": "x", "rights": ["meters.view"]}
    headers = {"idempotency-key": "token-of-repeating"}
    first = owner.post("/api/v1/me/tokens", json=wanted, headers=headers)
    again = owner.post("/api/v1/me/tokens", json=wanted, headers=headers)
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["type"] == "urn:wattkeeper:problem:done-already"
    assert len(owner.get("/api/v1/me/tokens").json()) == 1


def test_a_signed_out_or_foreign_cookie_opens_nothing(browser):
    assert signed_in(browser.app, "not a session").get("/api/v1/me").status_code == 401


def test_cookies_of_other_programs_on_the_same_host_do_no_harm(browser, administrator):
    opened = fresh(browser)
    opened.headers["cookie"] = f'odd={{"a": 1}}; {COOKIE}={administrator}; also="x'
    assert opened.get("/api/v1/me").status_code == 200


def test_roles_are_explained_in_a_table(client, english):
    page = english.get("/users/roles").text
    assert page.count('scope="col"') == 1 + len(Role)
    assert all(right.value in page for right in Right)
    assert "核算收费员" in client.get("/users/roles").text


def test_the_audit_tells_who_did_what_to_what(client, english, town):
    add_user(town, "audited", Role.CLERK)
    number = user_id(english, "audited")
    english.post(f"/users/{number}", data={"name": "Renamed", "role": "analyst"})
    page = english.get("/audit", params={"kind": "user", "about": "audited"}).text
    assert "changed a user" in page
    assert "<del>Audited</del><ins>Renamed</ins>" in page
    assert "<del>billing clerk</del><ins>analyst</ins>" in page
    assert f'href="/users/{number}"' in page
    assert "修改了账号" in client.get("/audit", params={"what": "user.change"}).text
    assert "No act matches" in english.get("/audit", params={"who": "nobody at all"}).text
    assert "No act matches" in english.get("/audit", params={"until": "2020-01-01"}).text
    exported = english.get("/audit.csv", params={"kind": "user", "about": "audited"}).text
    assert "Display name: Audited" in exported


def test_the_audit_goes_on_by_cursor(english):
    first = english.get("/api/v1/audit", params={"limit": 2}).json()
    rest = english.get("/api/v1/audit", params={"limit": 2, "after": first["next"]}).json()
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert english.get(f"/api/v1/audit/{ids[0]}").json() == first["items"][0]
    assert english.get("/api/v1/audit/987654321").status_code == 404


def test_verifying_shows_the_head_and_knows_it_again(client, english, town):
    town.security.seal_audit(NOW)
    page = english.post("/audit/verify").text
    assert "The record is whole" in page
    head = secret_of(english.post("/audit/verify"))
    assert "It contains the head you noted." in english.post("/audit/verify", data={"expected": head}).text
    answer = client.get("/api/v1/audit/verification", params={"expected": head}).json()
    assert (answer["whole"], answer["head"]) == (True, head)
    forged = english.post("/audit/verify", data={"expected": f"3:{'0' * 64}"}).text
    assert "The record was changed" in forged


@pytest.fixture
def failed_job(town):
    """A bill run of July that failed after three of eight accounts."""
    july = TimeRange.month(2026, 7, town.services().database and NOW.tzinfo)
    job_id = town.billing.start_bill_run(july, now=NOW)
    with town.database.write() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(
                state=JobState.FAILED,
                owner=None,
                lease_until=None,
                error="The disk is full.",
                progress=3,
                total=8,
            )
        )
    yield job_id
    with town.database.write() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(state=JobState.FINISHED, owner=None, lease_until=None, error=None)
        )


def test_a_failed_job_says_why_and_goes_on_where_it_was(english, failed_job, town):
    page = english.get(f"/jobs/{failed_job}").text
    assert "The disk is full." in page
    assert "3 / 8" in page
    assert "The disk is full." in english.get("/jobs", params={"state": "failed"}).text
    assert english.post(f"/jobs/{failed_job}/retry").status_code == 200
    job = english.get(f"/api/v1/jobs/{failed_job}").json()
    assert (job["state"], job["progress"], job["error"]) == ("queued", 3, None)
    newest = town.security.audit(action="job.retry").rows[0]
    assert (newest.subject_id, newest.before) == (str(failed_job), {"error": "The disk is full."})
    told = english.post(f"/api/v1/jobs/{failed_job}/retry")
    assert (told.status_code, told.json()["type"]) == (409, "urn:wattkeeper:problem:job-not-failed")
    assert english.post(f"/jobs/{failed_job}/retry").status_code == 409


def test_billing_all_accounts_is_a_job_with_progress_and_exceptions(english, client, town):
    refused = english.post("/jobs/bill-runs", data={"month": "2026-11"})
    assert (refused.status_code, "has not ended yet" in refused.text) == (400, True)
    started = english.post("/jobs/bill-runs", data={"month": "2026-09"}, follow_redirects=False)
    path = started.headers["location"]
    job_id = int(path.rpartition("/")[2])
    again = english.post("/jobs/bill-runs", data={"month": "2026-09"}, follow_redirects=False)
    assert again.headers["location"] == path
    waiting = english.get(path).text
    assert "by chief" in waiting
    assert "Bills of September 2026" in waiting
    done = town.billing.work_bill_run(owner="test", clock=lambda: NOW, stopping=lambda: False)
    assert done.job_id == job_id
    page = client.get(path).text
    assert "已完成" in page
    assert len(done.exceptions) == page.count('data-label="原因"')
    assert f'href="/accounts/{done.exceptions[0].account_id}"' in page
    assert done.exceptions[0].account_code in english.get(f"{path}/not-billed.csv").text
    assert "Bills of September 2026" in english.get("/jobs.csv").text
    assert (
        english.get("/api/v1/jobs", params={"state": "finished"}).json()["items"][0]["started_by"] == "chief"
    )
    second = english.post("/api/v1/bill-runs", json={"month": "2026-08"}).json()["id"]
    first_page = english.get("/api/v1/bill-runs", params={"limit": 1}).json()
    assert [run["id"] for run in first_page["items"]] == [second]
    rest = english.get("/api/v1/bill-runs", params={"limit": 1, "after": first_page["next"]}).json()["items"]
    assert rest == [
        {
            "id": job_id,
            "period_start": "2026-08-31T16:00:00Z",
            "period_end": "2026-09-30T16:00:00Z",
            "state": "finished",
            "progress": done.progress,
            "total": done.total,
            "billed": done.billed,
            "estimated": done.estimated,
            "excepted": len(done.exceptions),
            "error": None,
        }
    ]
    earlier = english.get("/api/v1/bill-runs", params={"after": job_id}).json()["items"]
    assert all(run["id"] < job_id for run in earlier)


def test_an_operator_sees_jobs_but_starts_and_retries_none(browser, town, failed_job):
    operator = signed_in(browser.app, add_user(town, "onlooker", Role.OPERATOR))
    page = operator.get(f"/jobs/{failed_job}").text
    assert "The disk is full." in page
    assert "/retry" not in page
    assert "/jobs/bill-runs" not in operator.get("/jobs").text
    assert operator.post(f"/jobs/{failed_job}/retry").status_code == 403
    assert operator.post("/jobs/bill-runs", data={"month": "2026-09"}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/users/987654321", "/jobs/987654321", "/api/v1/users/987654321", "/api/v1/jobs/987654321"]
)
def test_what_is_not_there_is_not_found(english, path):
    assert english.get(path).status_code == 404


def test_a_job_of_an_unknown_kind_is_shown_by_its_name(english, town):
    with town.database.write() as session:
        job_id = JobQueue().enqueue(session, "forecast", key="forecast/1", args={}, now=NOW)
    assert "forecast" in english.get(f"/jobs/{job_id}").text
    assert session_of(town, "chief")
