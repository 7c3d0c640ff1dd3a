"""The bus and every kind of peer it has to live with."""

import asyncio
import contextlib
import gc
import socket
import time
from dataclasses import replace

import pytest

from wattkeeper.links import Bus, LinkLost, LinkState, LinkUnavailable, LinkUrl, NoReply


async def answer(peer, request, writer):
    writer.write(request.replace(b"?", b"=42."))


async def test_a_question_is_answered(connect, question):
    bus, peer = await connect(answer)
    assert (await bus.run(question("power"))).answers == ["42"]
    assert peer.requests == [b"power?"]
    assert (bus.state.connected, bus.state.opened, bus.state.lost, bus.state.error) == (True, 1, 0, None)


async def test_follow_ups_are_asked_until_the_conversation_is_over(connect, question):
    bus, peer = await connect(answer)
    exchange = await bus.run(question("first", follow_ups=("second", "third")))
    assert exchange.answers == ["42", "42", "42"]
    assert peer.requests == [b"first?", b"second?", b"third?"]


async def test_one_request_is_in_flight_whoever_asks(connect, question):
    flying, most = 0, 0

    async def count(peer, request, writer):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.003)
        flying -= 1
        await answer(peer, request, writer)

    bus, _ = await connect(count)
    asked = await asyncio.gather(*(bus.run(question(f"q{number}")) for number in range(10)))
    assert [exchange.answers for exchange in asked] == [["42"]] * 10
    assert most == 1


async def test_a_reply_may_come_byte_by_byte_as_long_as_the_gaps_are_short(connect, question, haste):
    async def dribble(peer, request, writer):
        for octet in b"slow=" + b"7" * 12 + b".":
            await asyncio.sleep(0.03)  # 0.54 s in all: far more than the timeout, less than the gap each
            writer.write(bytes([octet]))

    bus, peer = await connect(dribble, timing=replace(haste, byte_gap=0.4, longest_reply=5.0))
    assert (await bus.run(question("slow"))).answers == ["7" * 12]
    assert len(peer.requests) == 1


async def test_half_a_reply_is_not_joined_with_the_repeat(connect, question):
    async def half_then_whole(peer, request, writer):
        writer.write(b"half=4" if len(peer.requests) == 1 else b"half=42.")

    bus, peer = await connect(half_then_whole)
    assert (await bus.run(question("half"))).answers == ["42"]
    assert len(peer.requests) == 2


async def test_silence_is_asked_again_and_then_said_so(connect, question):
    async def ignore(peer, request, writer):
        pass

    bus, peer = await connect(ignore)
    began = time.monotonic()
    with pytest.raises(NoReply) as silent:
        await bus.run(question("lost"), attempts=3)
    assert (silent.value.subject, silent.value.attempts, silent.value.octets) == ("question lost", 3, 0)
    assert silent.value.waited == pytest.approx(3 * 0.15, abs=0.15)
    assert time.monotonic() - began < 1.0
    assert peer.requests == [b"lost?"] * 3
    assert bus.state.connected


async def test_a_silent_meter_does_not_hold_up_the_next_one(connect, question):
    async def only_alive(peer, request, writer):
        if request == b"alive?":
            await answer(peer, request, writer)

    bus, _ = await connect(only_alive)
    with pytest.raises(NoReply):
        await bus.run(question("dead"))
    began = time.monotonic()
    assert (await bus.run(question("alive"))).answers == ["42"]
    assert time.monotonic() - began < 0.1


async def test_babble_without_end_does_not_hold_the_bus_for_ever(connect, question, haste):
    async def babble(peer, request, writer):
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.01)

    bus, _ = await connect(babble)
    began = time.monotonic()
    with pytest.raises(NoReply) as nonsense:
        await bus.run(question("any"), attempts=1)
    assert nonsense.value.octets > 10
    assert time.monotonic() - began == pytest.approx(haste.longest_reply, abs=0.3)


async def test_a_late_reply_to_a_repeated_request_is_not_taken_for_the_next_answer(connect, question):
    async def late(peer, request, writer):
        number = len(peer.requests)
        if number <= 2:
            await asyncio.sleep(0.2)  # more than the timeout of 0.15 s
        writer.write(request.replace(b"?", b"=%d." % number))

    bus, peer = await connect(late)
    # The answer to request 1 comes after request 2 was sent; the answer to 2 is then still under way.
    assert (await bus.run(question("same"))).answers == ["1"]
    assert len(peer.requests) == 2
    assert (await bus.run(question("same"))).answers == ["3"]


async def test_a_late_reply_after_giving_up_is_not_taken_for_the_next_answer(connect, question):
    async def late_once(peer, request, writer):
        number = len(peer.requests)
        await asyncio.sleep(0.2 if number == 1 else 0.02)
        writer.write(request.replace(b"?", b"=%d." % number))

    bus, _ = await connect(late_once)
    with pytest.raises(NoReply):
        await bus.run(question("same"), attempts=1)
    assert (await bus.run(question("same"))).answers == ["2"]


async def test_the_reply_to_a_cancelled_question_is_not_taken_for_the_next_answer(connect, question):
    async def counted(peer, request, writer):
        number = len(peer.requests)
        await asyncio.sleep(0.05)
        writer.write(request.replace(b"?", b"=%d." % number))

    bus, _ = await connect(counted)
    await bus.open()
    impatient = asyncio.ensure_future(bus.run(question("same")))
    await asyncio.sleep(0.02)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert (await bus.run(question("same"))).answers == ["2"]


async def test_bytes_nobody_asked_for_are_shown_and_dropped(connect, question):
    async def twice(peer, request, writer):
        await answer(peer, request, writer)
        await asyncio.sleep(0.01)
        await answer(peer, b"stray?", writer)

    bus, _ = await connect(twice)
    seen = []
    bus.add_tap(seen.append)
    await bus.run(question("one"))
    await asyncio.sleep(0.03)
    assert (await bus.run(question("two"))).answers == ["42"]
    assert [(chunk.direction, chunk.data, chunk.note) for chunk in seen[:3]] == [
        ("tx", b"one?", None),
        ("rx", b"one=42.", None),
        ("rx", b"stray=42.", "unasked"),
    ]
    assert {chunk.link for chunk in seen} == {"test"}
    assert all(chunk.at.utcoffset() is not None for chunk in seen)


@pytest.mark.parametrize("pieces", [1, 2, 9], ids=["at once", "in two", "byte by byte"])
async def test_our_own_echo_is_dropped_however_it_is_cut(connect, question, pieces):
    async def echoing(peer, request, writer):
        heard = request + request.replace(b"?", b"=42.")
        size = -(-len(heard) // pieces)
        for start in range(0, len(heard), size):
            writer.write(heard[start : start + size])
            await asyncio.sleep(0.005)

    bus, peer = await connect(echoing)
    seen = []
    bus.add_tap(seen.append)
    assert (await bus.run(question("power"))).answers == ["42"]
    assert (await bus.run(question("power"))).answers == ["42"]
    assert len(peer.requests) == 2
    assert [chunk.data for chunk in seen if chunk.note == "echo"] == [b"power?"] * 2


async def test_a_reply_that_begins_like_its_request_is_no_echo(connect, question):
    async def similar(peer, request, writer):
        for octet in b"power=42.":  # "power" is how the request begins too
            writer.write(bytes([octet]))
            await asyncio.sleep(0.002)

    bus, _ = await connect(similar)
    assert (await bus.run(question("power"))).answers == ["42"]


async def test_a_refusal_belongs_to_who_asked_and_leaves_the_bus_usable(connect, question):
    async def refuse_secrets(peer, request, writer):
        writer.write(b"secret=!." if request == b"secret?" else b"open=1.")

    bus, peer = await connect(refuse_secrets)
    with pytest.raises(PermissionError, match="secret is refused"):
        await bus.run(question("secret"))
    assert (await bus.run(question("open"))).answers == ["1"]
    assert peer.requests == [b"secret?", b"open?"]


async def test_a_refusal_is_gone_with_who_asked_without_the_garbage_collector(connect, question):
    async def refuse_secrets(peer, request, writer):
        writer.write(b"secret=!.")

    bus, _ = await connect(refuse_secrets)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(PermissionError):
            await bus.run(question("secret"))
        await asyncio.sleep(0)
        assert not [one for one in gc.get_objects() if isinstance(one, PermissionError)]
    finally:
        gc.enable()


async def test_a_broadcast_waits_for_no_answer_but_until_it_has_left(connect, announcement, haste):
    async def nothing(peer, request, writer):
        pass

    bus, peer = await connect(nothing, timing=replace(haste, byte_time=0.005))
    began = time.monotonic()
    await bus.run(announcement)
    assert time.monotonic() - began >= 0.04  # 9 bytes of 5 ms
    assert peer.requests == [b"hear all."]


async def test_a_link_lost_in_the_middle_is_opened_again_and_the_question_repeated(connect, question):
    async def drop_once(peer, request, writer):
        if len(peer.requests) == 1:
            writer.write(b"a=")
            await writer.drain()
            peer.drop()
        else:
            await answer(peer, request, writer)

    bus, _ = await connect(drop_once)
    assert (await bus.run(question("a"))).answers == ["42"]
    assert (bus.state.opened, bus.state.lost) == (2, 1)


async def test_a_link_that_is_lost_again_and_again_says_so_and_backs_off(connect, question):
    async def drop(peer, request, writer):
        peer.drop()

    bus, peer = await connect(drop)
    with pytest.raises((LinkLost, LinkUnavailable), match="was lost"):
        await bus.run(question("a"), attempts=2)
    with pytest.raises(LinkUnavailable) as later:
        await bus.run(question("a"))
    assert 0 < later.value.retry_in <= 0.5
    assert bus.retry_in > 0
    assert not bus.state.connected
    assert len(peer.requests) == 2


async def test_a_gateway_that_dropped_an_idle_connection_costs_nothing(connect, question):
    bus, peer = await connect(answer)
    await bus.run(question("a"))
    peer.drop()
    await asyncio.sleep(0.02)
    assert not bus.state.connected
    assert (await bus.run(question("a"), attempts=1)).answers == ["42"]


async def test_nobody_listening_is_a_refused_connection(question):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = LinkUrl.parse(f"tcp://127.0.0.1:{unused.getsockname()[1]}")
        bus = Bus("test", url)
        with pytest.raises(LinkUnavailable) as refused:
            await bus.run(question("a"))
        assert "refused the connection" in str(refused.value)
        with pytest.raises(LinkUnavailable, match="It is tried again in 0") as waiting:
            await bus.run(question("a"))
    assert refused.value.retry_in == 0.5
    assert 0 < waiting.value.retry_in <= 0.5
    assert bus.state.error == str(refused.value)
    await bus.close()


async def test_an_unknown_host_is_named(question):
    bus = Bus("test", LinkUrl.parse("tcp://no-such-host.invalid:502"))
    with pytest.raises(LinkUnavailable, match=r"There is no host no-such-host\.invalid\."):
        await bus.run(question("a"))
    await bus.close()


async def test_closing_ends_the_question_in_flight(connect, question):
    async def ignore(peer, request, writer):
        pass

    bus, _ = await connect(ignore)
    asking = asyncio.ensure_future(bus.run(question("a")))
    await asyncio.sleep(0.03)
    await bus.close()
    with pytest.raises(LinkLost, match="was closed"):
        await asking
    with pytest.raises(LinkLost, match="was closed"):
        await bus.run(question("a"))
    assert bus.state.connected is False


async def test_a_tap_can_be_taken_off(connect, question):
    bus, _ = await connect(answer)
    seen = []
    remove = bus.add_tap(seen.append)
    await bus.run(question("a"))
    remove()
    await bus.run(question("b"))
    assert [chunk.data for chunk in seen] == [b"a?", b"a=42."]


def test_a_bus_that_was_never_opened_is_in_its_first_state():
    assert Bus("test", LinkUrl.parse("tcp://127.0.0.1:1")).state == LinkState()


async def test_those_who_wait_are_served_in_their_order_and_may_walk_away(connect, question):
    bus, peer = await connect(answer)
    asked = [asyncio.ensure_future(bus.run(question(name))) for name in "abcde"]
    await asyncio.sleep(0)
    asked[1].cancel()
    asked[3].cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert peer.requests == [b"a?", b"c?", b"e?"]
    assert (await bus.run(question("f"))).answers == ["42"]


async def test_one_whose_turn_came_in_the_moment_it_walked_away_passes_it_on(connect, question):
    bus, peer = await connect(answer)
    first, second, third = (asyncio.ensure_future(bus.run(question(name))) for name in "abc")
    await first
    second.cancel()  # its turn was granted when the first finished, and it has not run yet
    await asyncio.gather(second, third, return_exceptions=True)
    assert third.result().answers == ["42"]
    assert b"c?" in peer.requests


async def test_closing_ends_a_wait_for_late_replies_without_another_request(connect, question):
    async def ignore(peer, request, writer):
        pass

    bus, peer = await connect(ignore)
    with pytest.raises(NoReply):
        await bus.run(question("same"), attempts=1)
    waiting = asyncio.ensure_future(bus.run(question("same")))  # for what the silent one may still say
    await asyncio.sleep(0.02)
    await bus.close()
    with pytest.raises(LinkLost, match="was closed"):
        await waiting
    assert peer.requests == [b"same?"]


async def test_closing_does_not_wait_for_a_host_that_does_not_answer(question):
    bus = Bus("test", LinkUrl.parse("tcp://127.0.0.1:9"))
    dialling = asyncio.Event()

    async def dial():
        dialling.set()
        await asyncio.sleep(60)

    bus._link._dial = dial
    asking = asyncio.ensure_future(bus.run(question("a")))
    await dialling.wait()
    async with asyncio.timeout(5):
        await bus.close()
        with pytest.raises(LinkLost, match="was closed"):
            await asking


async def test_whoever_gives_up_during_the_dialling_is_not_held(question):
    bus = Bus("test", LinkUrl.parse("tcp://127.0.0.1:9"))
    bus._link._dial = lambda: asyncio.sleep(60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bus.run(question("a"))
    async with asyncio.timeout(5):
        await bus.close()


async def test_a_link_with_a_limit_is_not_asked_more_often(connect, question, haste):
    bus, peer = await connect(answer, timing=replace(haste, spacing=0.05))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for name in "abcde":
        await bus.run(question(name))
    assert len(peer.requests) == 5
    assert loop.time() - began >= 4 * 0.05, "four pauses lie between five requests"
