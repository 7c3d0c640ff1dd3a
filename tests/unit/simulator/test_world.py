import pytest

from wattkeeper.simulator import DEMO_WORLD, Neighbourhood, WorldError, WorldPlan


def world(**meter):
    return {"links": [{"code": "a", "meters": [{"address": "000000000161", "point": "home", **meter}]}]}


@pytest.mark.parametrize(
    ("described", "says"),
    [
        pytest.param({}, "at least one", id="empty"),
        pytest.param({"links": [{"meters": []}]}, "link 1 is not complete", id="link without code"),
        pytest.param({"links": [{"code": "a", "bauds": 9600}]}, "'bauds'", id="unknown entry of a link"),
        pytest.param({"links": [{"code": "a", "transport": "udp"}]}, "neither tcp nor pty", id="transport"),
        pytest.param({"links": [{"code": "a"}, {"code": "a"}]}, "link code a is used twice", id="code twice"),
        pytest.param(world(address="161"), "12 digits", id="short address"),
        pytest.param(world(address=161), "12 digits", id="address as a number"),
        pytest.param(world(kind="castle"), "'castle'", id="kind"),
        pytest.param(world(faults={"death": True}), "'death'", id="fault"),
        pytest.param(world(exchange={"at": "soon"}), "local time", id="exchange"),
        pytest.param({**world(), "weather": "fine"}, "'weather'", id="unknown entry of the world"),
    ],
)
def test_a_world_that_cannot_be_built_says_where_and_why(described, says):
    with pytest.raises(WorldError, match=says):
        WorldPlan.from_mapping(described)


def test_a_file_that_is_absent_or_no_toml_is_a_sentence(tmp_path):
    with pytest.raises(WorldError, match="There is no file"):
        WorldPlan.from_file(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[[links")
    with pytest.raises(WorldError, match="is not a TOML file"):
        WorldPlan.from_file(tmp_path / "broken.toml")


def test_the_demo_world_is_a_block_a_street_a_factory_lights_and_a_serial_bus():
    plan = WorldPlan.from_file(DEMO_WORLD)
    assert [(link.code, link.transport, len(link.meters)) for link in plan.links] == [
        ("block", "tcp", 12),
        ("shops", "tcp", 6),
        ("factory", "tcp", 3),
        ("lights", "tcp", 2),
        ("serial", "pty", 4),
    ]
    assert plan.record_days >= 70
    ill = {
        meter.address: dict(meter.faults) or meter.clock_offset
        for link in plan.links
        for meter in link.meters
    }
    assert {address: what for address, what in ill.items() if what} == {
        "202601000006": {"dead": True},
        "202601000008": {"noisy": 0.3},
        "202601000011": -420,
    }
    factory = plan.links[2].meters
    assert [meter.ct_ratio for meter in factory] == [40, 60, 20]


def test_the_same_world_is_the_same_world(clock):
    plan = WorldPlan.from_file(DEMO_WORLD)
    one, two = (Neighbourhood(plan, clock=clock) for _ in range(2))
    assert [meter.register(clock.at) for meter in one.meters.values()] == [
        meter.register(clock.at) for meter in two.meters.values()
    ]
    assert len(set(one.meters)) == 27


def test_a_meter_behind_current_transformers_counts_the_secondary_side(clock):
    direct, behind = (
        Neighbourhood(WorldPlan.from_mapping(world(kind="factory", ct_ratio=ratio)), clock=clock)
        for ratio in (1, 40)
    )
    [primary], [secondary] = (list(each.meters.values()) for each in (direct, behind))
    assert secondary.register(clock.at) * 40 == pytest.approx(primary.register(clock.at), abs=41)
