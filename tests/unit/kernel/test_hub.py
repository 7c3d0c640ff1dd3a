"""The hub never makes a publisher wait, and a slow subscriber knows what it lost."""

import asyncio
import threading

import pytest

from wattkeeper.kernel.hub import Hub, Message


async def test_a_subscriber_gets_the_messages_of_its_topics_in_order():
    hub = Hub()
    async with hub.subscribe("reading", "link") as queue:
        for topic, body in [("reading", 1), ("traffic", 2), ("link", 3)]:
            hub.publish(topic, body)
        assert [await queue.get(), await queue.get()] == [Message("reading", 1), Message("link", 3)]
        assert queue.drain() == []
    assert hub.published == {"reading": 1, "traffic": 1, "link": 1}


async def test_a_slow_subscriber_loses_the_oldest_and_knows_how_many():
    hub = Hub(capacity=3)
    async with hub.subscribe("reading") as queue:
        for number in range(10):
            hub.publish("reading", number)
        assert [message.body for message in await queue.batch()] == [7, 8, 9]
        assert queue.dropped == 7


async def test_one_slow_subscriber_does_not_cost_another_its_messages():
    hub = Hub(capacity=2)
    async with hub.subscribe("reading") as slow, hub.subscribe("reading") as quick:
        received = []
        for number in range(6):
            hub.publish("reading", number)
            received += [message.body for message in quick.drain()]
        assert (received, quick.dropped) == ([0, 1, 2, 3, 4, 5], 0)
        assert ([message.body for message in slow.drain()], slow.dropped) == ([4, 5], 4)


async def test_messages_from_worker_threads_wake_the_subscriber_and_none_is_lost():
    hub = Hub()
    received = []
    async with hub.subscribe("reading") as queue:
        threads = [
            threading.Thread(target=lambda: [hub.publish("reading", number) for number in range(500)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(10):
            while len(received) < 2000:
                received += [message.body for message in await queue.batch()]
        for thread in threads:
            thread.join()
    assert sorted(received) == sorted(list(range(500)) * 4)
    assert (queue.dropped, hub.published["reading"]) == (0, 2000)


async def test_a_waiting_subscriber_can_iterate():
    hub = Hub()
    async with hub.subscribe("reading") as queue:
        asyncio.get_running_loop().call_later(0.01, hub.publish, "reading", "late")
        async for message in queue:
            assert message == Message("reading", "late")
            break


async def test_nobody_is_reached_after_leaving():
    hub = Hub()
    async with hub.subscribe("reading") as queue:
        assert hub.subscribers("reading") == 1
    hub.publish("reading", 1)
    assert (hub.subscribers("reading"), queue.drain()) == (0, [])


def test_publishing_to_a_loop_that_is_gone_harms_nobody():
    hub = Hub()

    async def leave_without_saying_so():
        subscription = hub.subscribe("reading")
        await subscription.__aenter__()
        return subscription

    abandoned = asyncio.run(leave_without_saying_so())
    hub.publish("reading", 1)
    hub.publish("reading", 2)
    assert hub.published["reading"] == 2
    del abandoned


def test_a_queue_holds_at_least_one_message():
    with pytest.raises(ValueError, match="at least one"):
        Hub(capacity=0)
