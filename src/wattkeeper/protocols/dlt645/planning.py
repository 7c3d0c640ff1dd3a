"""Which identifiers to ask for, so that wanted values cost the fewest frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from wattkeeper.protocols.dlt645.layouts import layout_of

__all__ = ["plan_reads"]


def plan_reads(dis: Iterable[str]) -> list[str]:
    """The fewest identifiers whose replies hold all wanted ones, in the order of what they bring first.

    A block is asked for only where it replaces at least two reads; each value of a block comes under its own
    identifier. Identifiers without a block are asked for as they are.

    >>> plan_reads(["00010000", "00010100", "00010200", "02010100", "02800002"])
    ['0001FF00', '02010100', '02800002']
    >>> plan_reads(["02010100", "02010200", "02010300"])
    ['0201FF00']
    """
    wanted = list(dict.fromkeys(di.upper() for di in dis))
    # Each wanted value lies in up to two blocks: all tariffs (DI1 = FF) and all settlements (DI0 = FF). The fewest
    # blocks that hold all values are a minimum vertex cover of the bipartite graph with the values as edges.
    edges = {di: (_block(di, f"{di[:4]}FF{di[6:]}"), _block(di, f"{di[:6]}FF")) for di in wanted}
    cover = _minimum_cover(list(edges.values()))
    forced = Counter(
        left if left in cover else right for left, right in edges.values() if {left, right} - cover
    )
    bringing: dict[str, list[str]] = {}
    for di, blocks in edges.items():
        # Where either block would bring it, the one that has more to bring anyway: the other may shrink to one value.
        block = max((block for block in blocks if block in cover), key=lambda block: forced[block])
        bringing.setdefault(block, []).append(di)
    return [block if len(brought) > 1 else brought[0] for block, brought in bringing.items()]


def _block(di: str, block: str) -> str:
    """`block` when it exists and brings `di`, otherwise `di`, which brings itself."""
    layout = layout_of(block) if block != di else None
    return block if layout and any(field.identifier == di for field in layout.fields) else di


def _minimum_cover(edges: list[tuple[str, str]]) -> set[str]:
    """The fewest nodes that touch every edge of a bipartite graph (König's theorem)."""
    neighbours: dict[str, list[str]] = {}
    for left, right in edges:
        neighbours.setdefault(left, []).append(right)
    partner: dict[str, str] = {}  # right node: its left node in the matching

    def augment(left: str, seen: set[str]) -> bool:
        for right in neighbours[left]:
            if right not in seen:
                seen.add(right)
                if right not in partner or augment(partner[right], seen):
                    partner[right] = left
                    return True
        return False

    for left in neighbours:
        augment(left, set())
    lefts, rights = _alternating_reach(neighbours, partner)
    return (set(neighbours) - lefts) | rights


def _alternating_reach(
    neighbours: dict[str, list[str]], partner: dict[str, str]
) -> tuple[set[str], set[str]]:
    """What alternating paths reach from the left nodes without a partner."""
    lefts = set(neighbours) - set(partner.values())
    rights: set[str] = set()
    frontier = list(lefts)
    while frontier:
        for right in neighbours[frontier.pop()]:
            rights.add(right)
            if partner[right] not in lefts:
                lefts.add(partner[right])
                frontier.append(partner[right])
    return lefts, rights
