"""The API's description is complete: each operation has a name, a subject, a sentence, and every answer it may give."""

import re
from collections import Counter

import pytest

from wattkeeper.web.language import language


@pytest.fixture
def described(client):
    return client.get("/api/v1/openapi.json").json()


@pytest.fixture
def operations(described):
    return {
        f"{method} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_has_a_name_of_its_own(operations):
    names = Counter(operation["operationId"] for operation in operations.values())
    assert [name for name, times in names.items() if times > 1] == []
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_every_operation_says_what_it_does_under_a_subject_that_is_described(described, operations):
    subjects = {tag["name"] for tag in described["tags"]}
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert set(operation["tags"]) <= subjects, name
        assert len(operation["tags"]) == 1, name


def test_every_subject_and_summary_is_said_in_chinese(operations):
    said = {text for operation in operations.values() for text in (operation["summary"], *operation["tags"])}
    spoken = language("zh").translations
    assert [text for text in said if spoken.gettext(text) == text] == []


def test_every_operation_lists_who_may_not(operations):
    for name, operation in operations.items():
        assert {"401", "403", "421"} <= set(operation["responses"]), name
        if not name.startswith("get"):
            assert {"409", "413", "422"} <= set(operation["responses"]), name
            headers = {parameter["name"].lower() for parameter in operation["parameters"]}
            assert "idempotency-key" in headers, name


def test_every_refusal_is_a_problem_document(operations):
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            assert status != "500", name
            if status.startswith(("4", "5")):
                assert set(response["content"]) == {"application/problem+json"}, (name, status)


def test_a_browser_and_a_program_can_both_sign_in(described):
    assert {name: scheme["type"] for name, scheme in described["components"]["securitySchemes"].items()} == {
        "session": "apiKey",
        "token": "http",
    }
    assert described["security"] == [{"session": []}, {"token": []}]


def test_lists_that_can_be_long_go_on_by_cursor(described, operations):
    schemas = described["components"]["schemas"]
    for name, operation in operations.items():
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        reference = answer.get("schema", {}).get("$ref", "")
        schema = schemas.get(reference.rpartition("/")[2], {})
        if "next" in schema.get("properties", {}):
            assert {"limit", "after"} <= {parameter["name"] for parameter in operation["parameters"]}, name
