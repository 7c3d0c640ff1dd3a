"""Fewer requests than ours there cannot be, and no rule of the meter is broken by one."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.modbus.coalescing import Limits, Span, coalesce, span_of, walls, whole
from wattkeeper.protocols.modbus.mapfiles import shipped_maps

spans = st.builds(
    lambda function, start, size: Span(function, start, start + size),
    st.sampled_from([3, 4]),
    st.integers(0, 30),
    st.integers(1, 3),
)


def disjoint(items):
    ordered = sorted(set(items))
    return all(one.function != other.function or one.end <= other.start for one, other in pairwise(ordered))


limits = st.builds(
    Limits,
    st.integers(3, 12),
    st.integers(0, 5),
    st.lists(spans, max_size=2).map(tuple),
)


def allowed(group, rules, refused):
    """The rules, said once more and without any cleverness."""
    span = whole(group)
    if span.end - span.start > rules.largest or len({item.function for item in group}) > 1:
        return False
    if any(span.holds(range_) for range_ in refused):
        return False
    wanted = {address for item in group for address in range(item.start, item.end)}
    unlisted = [address for address in range(span.start, span.end) if address not in wanted]
    forbidden = {
        address
        for range_ in rules.forbidden
        if range_.function == span.function
        for address in range(range_.start, range_.end)
    }
    if any(address in forbidden for address in unlisted):
        return False
    return all(other.start - one.end <= rules.read_over for one, other in pairwise(group))


def fewest(items, rules, refused):
    """The least number over *every* way to divide the items into groups, by trying them all."""

    def divide(rest):
        if not rest:
            return 0
        first, others = rest[0], rest[1:]
        best = None
        for chosen in range(1 << len(others)):
            group = [first, *(item for place, item in enumerate(others) if chosen >> place & 1)]
            if allowed(group, rules, refused):
                left = [item for place, item in enumerate(others) if not chosen >> place & 1]
                count = 1 + divide(left)
                best = count if best is None else min(best, count)
        return best if best is not None else 10**6

    return divide(sorted(set(items)))


@given(st.lists(spans, min_size=1, max_size=6).filter(disjoint), limits, st.lists(spans, max_size=2))
def test_no_division_needs_fewer_requests(items, rules, refused):
    groups = coalesce(items, rules, refused=refused)
    readable = {item for item in items if not any(item.holds(range_) for range_ in refused)}
    assert sorted(item for group in groups for item in group) == sorted(readable)
    assert all(allowed(group, rules, refused) for group in groups)
    assert len(groups) == fewest(readable, rules, refused)


def test_a_long_refused_range_is_halved_and_a_found_bad_register_is_gone_around():
    items = [Span(4, at, at + 2) for at in range(0, 16, 2)]
    whole_range = Span(4, 0, 16)
    assert [whole(group).key for group in coalesce(items, Limits(), refused=walls([whole_range], items))] == [
        "4:0-7",
        "4:8-15",
    ]
    bad = Span(4, 6, 8)
    known = walls([whole_range, Span(4, 0, 8), Span(4, 4, 8), bad], items)
    assert [whole(group).key for group in coalesce(items, Limits(), refused=known)] == ["4:0-5", "4:8-15"]


def test_a_key_is_its_span():
    assert span_of(Span(3, 7, 9).key) == Span(3, 7, 9)
    assert [span_of(key) for key in ("00010000", "3:", "x:1-2")] == [None] * 3


def test_the_shipped_maps_are_read_in_a_third_of_the_requests():
    registers = requests = 0
    for each in shipped_maps().values():
        spans = [register.span for register in each.registers]
        registers += len(spans)
        requests += len(coalesce(spans, each.limits))
    assert (registers, requests) == (406, 116)
