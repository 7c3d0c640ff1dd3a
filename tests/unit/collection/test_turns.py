"""However many links are ready at once, one turn of the event loop does the work of a few, in the order they came."""

import asyncio
import time
from itertools import pairwise

from wattkeeper.collection.turns import Turnstile


class Passing:
    """Links that come to a turnstile together, and in which turn of the event loop each went on."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.turnstile = Turnstile()
        self.passed: list[tuple[int, int]] = []
        self._seconds = seconds
        self._turn = 0
        self._watch = asyncio.ensure_future(self._count())

    async def link(self, number: int) -> None:
        await self.turnstile.enter()
        self.passed.append((number, self._turn))
        time.sleep(self._seconds)  # noqa: ASYNC251 - what a link's answer costs is work, nothing that waits

    async def all_of(self, links: int) -> None:
        await asyncio.gather(*(self.link(number) for number in range(links)))
        self._watch.cancel()

    @property
    def per_turn(self) -> list[int]:
        turns = [turn for _, turn in self.passed]
        return [turns.count(turn) for turn in sorted(set(turns))]

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._turn += 1


async def test_five_hundred_links_pass_in_many_turns_and_in_their_order():
    passing = Passing()
    await passing.all_of(500)
    assert [number for number, _ in passing.passed] == list(range(500))
    assert max(passing.per_turn) <= 64
    assert all(after - before <= 1 for before, after in pairwise(passing.per_turn))


async def test_links_whose_answers_are_much_work_pass_one_by_one():
    passing = Passing(seconds=0.011)
    await passing.all_of(20)
    assert passing.per_turn == [8, 4, 2, 1, 1, 1, 1, 1, 1]


async def test_a_link_alone_is_not_kept_waiting():
    passing = Passing()
    for number in range(100):
        entering = passing.turnstile.enter()
        try:
            entering.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError(f"it waited at its answer {number}")


async def test_a_link_that_gave_up_keeps_nobody_waiting_and_takes_no_ones_turn():
    passing = Passing(seconds=0.011)
    links = [asyncio.ensure_future(passing.link(number)) for number in range(20)]
    await asyncio.sleep(0)  # the first 8 have passed
    for gone in links[8:18]:
        gone.cancel()
    await asyncio.gather(*links, return_exceptions=True)
    assert [number for number, _ in passing.passed] == [*range(8), 18, 19]
    assert passing.per_turn == [8, 2]
