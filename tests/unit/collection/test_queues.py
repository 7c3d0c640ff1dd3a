"""Due reads: each meter once, first come first served, those that failed behind the others."""

from datetime import UTC, datetime, timedelta

from wattkeeper.collection.queues import DueQueue, DueRead

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)


def taken(queue, now=NOW):
    found = []
    while (read := queue.pop(now)) is not None:
        found.append((read.meter_id, sorted(read.quantities)))
    return found


def test_a_meter_that_waits_gains_what_it_lacks_and_keeps_its_place():
    queue = DueQueue()
    queue.add(1, ["a"])
    queue.add(2, ["a"])
    queue.add(1, ["a", "b"])
    assert len(queue) == 2
    assert taken(queue) == [(1, ["a", "b"]), (2, ["a"])]


def test_a_read_that_failed_waits_for_its_pause_and_then_behind_the_others():
    queue = DueQueue()
    queue.put_back(DueRead(1, {"a"}, attempts=1), not_before=LATER)
    queue.add(2, ["a"])
    assert queue.next_ripe == LATER
    assert queue.pop(NOW).meter_id == 2
    assert queue.pop(NOW) is None
    queue.add(3, ["a"])
    assert taken(queue, LATER) == [(3, ["a"]), (1, ["a"])]


def test_what_came_due_during_the_read_is_not_queued_twice():
    queue = DueQueue()
    queue.add(1, ["a"])
    read = queue.pop(NOW)
    queue.add(1, ["b"])
    read.attempts = 1
    queue.put_back(read, not_before=LATER)
    assert taken(queue) == [(1, ["a", "b"])]
    assert queue.next_ripe is None


def test_a_meter_that_left_is_dropped():
    queue = DueQueue()
    queue.add(1, ["a"])
    queue.drop(1)
    assert (len(queue), taken(queue)) == (0, [])


def test_meters_that_do_not_answer_stand_behind_the_others_and_still_get_their_turn():
    queue = DueQueue()
    for silent in (1, 2):
        queue.add(silent, ["a"], silent=True)
    for meter in range(10, 30):
        queue.add(meter, ["a"])
    order = [meter for meter, _ in taken(queue)]
    assert order == [*range(10, 18), 1, *range(18, 26), 2, *range(26, 30)]


def test_a_read_that_came_due_again_remembers_what_found_no_answer():
    queue = DueQueue()
    queue.add(1, ["a"])
    queue.put_back(DueRead(1, {"b"}, attempts=1, answered=True, unanswered={"x"}), not_before=LATER)
    read = queue.pop(NOW)
    assert (read.quantities, read.attempts, read.answered, read.unanswered) == ({"a", "b"}, 1, True, {"x"})


def test_a_line_is_late_when_a_meter_comes_due_again_unread_and_until_it_is_empty():
    queue = DueQueue()
    queue.add(1, ["a"])
    queue.add(2, ["a"])
    queue.add(2, ["b"])  # another plan's: it was not due before
    assert not queue.is_late
    queue.pop(NOW)
    queue.add(2, ["a"])
    assert queue.is_late
    queue.pop(NOW)
    assert queue.is_late
    assert queue.pop(NOW) is None
    assert not queue.is_late
