"""Jobs are claimed by one worker, resumed after a crash, and a worker thought dead does no harm."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from wattkeeper.kernel.database import Database
from wattkeeper.kernel.feed import ChangeFeed
from wattkeeper.kernel.jobs import ClaimedJob, Job, JobLost, JobNotFailed, JobQueue, JobState, Step

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
LEASE = timedelta(minutes=1)
queue = JobQueue()


def enqueue(database: Database, key: str = "bills/2026-02", kind: str = "bill-run") -> int:
    with database.write() as session:
        return queue.enqueue(session, kind, key=key, args={"month": "2026-02"}, now=NOW)


class Crash(Exception):
    """The process ends in the middle of a step."""


def step_and_crash(database: Database, job: ClaimedJob) -> None:
    with database.write() as session:
        queue.step(session, job, Step(cursor={"account": 9}, progress=9), now=NOW, lease=LEASE)
        raise Crash


def issue_a_bill(database: Database, job: ClaimedJob) -> None:
    with database.write() as session:
        ChangeFeed().append(session, "bill.issued", {"account": 8})
        queue.step(session, job, Step(cursor={"account": 8}, progress=8), now=NOW + LEASE, lease=LEASE)


def claim(database: Database, owner: str, now: datetime = NOW) -> ClaimedJob | None:
    with database.write() as session:
        return queue.claim(session, ["bill-run"], owner=owner, now=now, lease=LEASE)


def test_a_job_with_the_same_key_is_not_added_twice(database):
    assert enqueue(database) == enqueue(database)
    assert claim(database, "a") is not None
    assert claim(database, "b") is None


def test_a_claimed_job_carries_everything_its_worker_needs(database):
    job_id = enqueue(database)
    assert claim(database, "a") == ClaimedJob(
        id=job_id,
        kind="bill-run",
        key="bills/2026-02",
        args={"month": "2026-02"},
        cursor=None,
        progress=0,
        total=None,
        owner="a",
        attempt=1,
    )


def test_jobs_are_taken_oldest_first_and_only_of_the_kinds_asked_for(database):
    enqueue(database, "other", kind="export")
    enqueue(database, "first")
    enqueue(database, "second")
    assert [claim(database, "a").key, claim(database, "a").key, claim(database, "a")] == [
        "first",
        "second",
        None,
    ]


def test_a_job_is_resumed_from_its_last_committed_step_when_the_lease_is_over(database):
    enqueue(database)
    first = claim(database, "a")
    with database.write() as session:
        queue.step(session, first, Step(cursor={"account": 7}, progress=7, total=100), now=NOW, lease=LEASE)
    assert claim(database, "b", NOW + LEASE - timedelta(microseconds=1)) is None
    second = claim(database, "b", NOW + LEASE)
    assert (second.cursor, second.progress, second.total, second.owner, second.attempt) == (
        {"account": 7},
        7,
        100,
        "b",
        2,
    )


def test_the_work_of_a_worker_that_lost_its_job_is_rolled_back(database):
    enqueue(database)
    slow = claim(database, "a")
    claim(database, "b", NOW + LEASE)
    with pytest.raises(JobLost):
        issue_a_bill(database, slow)
    with database.read() as session:
        assert ChangeFeed().read(session, "reader", ["bill.issued"], 10) == []


def test_the_same_worker_coming_back_does_not_pass_for_its_earlier_self(database):
    enqueue(database)
    before = claim(database, "a")
    claim(database, "a", NOW + LEASE)
    with pytest.raises(JobLost), database.write() as session:
        queue.finish(session, before)


def test_a_step_that_fails_leaves_the_cursor_where_it_was(database):
    enqueue(database)
    job = claim(database, "a")
    with pytest.raises(Crash):
        step_and_crash(database, job)
    assert claim(database, "b", NOW + LEASE).cursor is None


def test_a_failed_job_says_why_and_goes_on_from_its_cursor_when_tried_again(database):
    job_id = enqueue(database)
    job = claim(database, "a")
    with database.write() as session:
        job = queue.step(session, job, Step(cursor=3, progress=3), now=NOW, lease=LEASE)
        queue.fail(session, job, "The tariff of account 4 is missing.")
    with database.read() as session:
        kept = session.get(Job, job_id)
        assert (kept.state, kept.error, kept.owner) == (
            JobState.FAILED,
            "The tariff of account 4 is missing.",
            None,
        )
    with database.write() as session:
        queue.retry(session, job_id)
    assert claim(database, "b").cursor == 3
    with pytest.raises(JobNotFailed), database.write() as session:
        queue.retry(session, job_id)


def test_a_finished_job_is_never_claimed_again(database):
    enqueue(database)
    job = claim(database, "a")
    with database.write() as session:
        queue.finish(session, job)
    assert claim(database, "b", NOW + 10 * LEASE) is None
    with database.read() as session:
        assert session.scalars(select(Job.state)).all() == [JobState.FINISHED]


def test_of_many_workers_at_once_each_job_goes_to_exactly_one(database):
    for number in range(20):
        enqueue(database, f"job-{number}")
    taken: list[str] = []
    start = threading.Barrier(4)

    def work(owner: str) -> None:
        start.wait()
        while (job := claim(database, owner)) is not None:
            taken.append(job.key)

    workers = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(taken) == sorted(f"job-{number}" for number in range(20))


def test_of_many_who_ask_for_the_same_job_at_once_all_get_the_same_one(database):
    start, ids = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        ids.append(enqueue(database))

    people = [threading.Thread(target=ask) for _ in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert (len(ids), len(set(ids))) == (4, 1)


def test_a_released_job_goes_on_from_its_cursor_with_the_next_worker(database):
    enqueue(database)
    job = claim(database, "a")
    assert job is not None
    with database.write() as session:
        job = queue.step(session, job, Step(cursor={"account": 3}, progress=3), now=NOW, lease=LEASE)
        queue.release(session, job)
    again = claim(database, "b")
    assert again is not None
    assert (again.owner, again.cursor, again.progress) == ("b", {"account": 3}, 3)
    with pytest.raises(JobLost), database.write() as session:
        queue.finish(session, job)
