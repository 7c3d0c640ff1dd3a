"""A key is claimed once, answered once, and a claim that nobody answered says so."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from wattkeeper.kernel.idempotency import KEPT, IdempotentRequests, KeptAnswer

NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)
REQUEST = {"sender": "user:clerk", "key": "payment-1", "fingerprint": "f1"}
ANSWER = {"status": 200, "media_type": "application/json", "body": '{"id":1}'}


@pytest.fixture
def requests(database) -> IdempotentRequests:
    return IdempotentRequests(database)


def test_a_repeat_is_given_what_was_answered(requests):
    assert requests.claim(**REQUEST, now=NOW) is None
    requests.answered(sender="user:clerk", key="payment-1", **ANSWER)
    assert requests.claim(**REQUEST, now=NOW) == KeptAnswer("f1", 200, "application/json", '{"id":1}')


def test_a_claim_that_was_never_answered_stays_open(requests):
    requests.claim(**REQUEST, now=NOW)
    assert requests.claim(**REQUEST, now=NOW + KEPT - timedelta(hours=1)) == KeptAnswer(
        "f1", None, None, None
    )


def test_a_key_that_was_given_back_is_free(requests):
    requests.claim(**REQUEST, now=NOW)
    requests.release(sender="user:clerk", key="payment-1")
    assert requests.claim(**REQUEST, now=NOW) is None


def test_keys_belong_to_whoever_sent_them(requests):
    requests.claim(**REQUEST, now=NOW)
    assert requests.claim(**REQUEST | {"sender": "user:other"}, now=NOW) is None


def test_answers_are_kept_for_a_week(requests):
    requests.claim(**REQUEST, now=NOW)
    requests.claim(
        sender="user:clerk", key="another", fingerprint="f2", now=NOW + KEPT + timedelta(seconds=1)
    )
    assert requests.claim(**REQUEST, now=NOW + KEPT + timedelta(seconds=2)) is None


def test_of_many_at_once_one_gets_the_key(requests):
    told: list[KeptAnswer | None] = []
    threads = [
        threading.Thread(target=lambda: told.append(requests.claim(**REQUEST, now=NOW))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(None) == 1
    assert told.count(KeptAnswer("f1", None, None, None)) == 7
