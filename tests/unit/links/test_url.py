import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.links import BadLinkUrl, LinkUrl


def test_serial_url_names_port_and_line_settings():
    url = LinkUrl.parse("serial:///dev/ttyUSB0?baud=9600&parity=odd&stop=2&data=7")
    assert url == LinkUrl("serial", device="/dev/ttyUSB0", baud=9600, parity="odd", data=7, stop=2)
    assert url.settings == "9600 baud 7O2"


def test_serial_defaults_are_those_of_the_standard():
    url = LinkUrl.parse("serial:///dev/ttyUSB0")
    assert url.settings == "2400 baud 8E1"
    assert url.bits_per_byte == 11
    assert url.byte_time == 11 / 2400


def test_tcp_url_names_host_and_port_and_may_name_the_baud_rate_behind_the_gateway():
    assert LinkUrl.parse("tcp://10.0.0.7:8899") == LinkUrl("tcp", host="10.0.0.7", port=8899)
    assert LinkUrl.parse("tcp://gateway.example:26?baud=2400").byte_time == 11 / 2400
    assert LinkUrl.parse("tcp://[::1]:502").place == "[::1]:502"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("/dev/ttyUSB0", "serial:///dev/ttyUSB0?baud=2400&parity=even", id="bare device"),
        pytest.param("10.0.0.7:502", "tcp://10.0.0.7:502", id="bare endpoint"),
        pytest.param("serial://dev/ttyUSB0", "serial:///dev/ttyUSB0", id="two slashes"),
        pytest.param("serial://", "names no serial port", id="no port"),
        pytest.param("tcp://10.0.0.7", "names no TCP port", id="no tcp port"),
        pytest.param("tcp://:502", "names no host", id="no host"),
        pytest.param("tcp://h:99999", "out of range", id="port too large"),
        pytest.param("tcp://h:502/path", "has a path", id="path"),
        pytest.param("udp://h:502", "'udp'", id="other scheme"),
        pytest.param("serial:///dev/ttyUSB0?baud=fast", "baud=fast", id="baud no number"),
        pytest.param("serial:///dev/ttyUSB0?baud=0", "50 to 4000000", id="baud zero"),
        pytest.param("serial:///dev/ttyUSB0?parity=8E1", "none, even or odd", id="parity"),
        pytest.param("serial:///dev/ttyUSB0?data=9", "from 5 to 8", id="data bits"),
        pytest.param("serial:///dev/ttyUSB0?baudrate=9600", "'baudrate'", id="unknown option"),
        pytest.param("tcp://h:1?timeout=-1", "timeout=-1", id="timeout"),
        pytest.param("tcp://h:1?rate=0", "rate=0", id="rate"),
        pytest.param("", "is not a link's URL", id="empty"),
    ],
)
def test_a_bad_url_is_answered_by_a_sentence_that_helps(text, says):
    with pytest.raises(BadLinkUrl) as refused:
        LinkUrl.parse(text)
    assert says in str(refused.value)
    assert refused.value.hint


@given(
    st.builds(
        LinkUrl,
        scheme=st.just("serial"),
        device=st.from_regex(r"/dev/[A-Za-z0-9/_.-]{1,20}", fullmatch=True),
        baud=st.sampled_from([600, 1200, 2400, 9600, 115200]),
        parity=st.sampled_from(["none", "even", "odd"]),
        data=st.integers(5, 8),
        stop=st.integers(1, 2),
        timeout=st.none() | st.sampled_from([0.5, 2.0, 10.0]),
    )
    | st.builds(
        LinkUrl,
        scheme=st.just("tcp"),
        host=st.sampled_from(["meter-gateway", "10.1.2.3", "::1"]),
        port=st.integers(1, 65535),
        baud=st.none() | st.just(2400),
        rate=st.none() | st.integers(1, 60_000),
    )
)
def test_a_url_written_is_read_back(url):
    assert LinkUrl.parse(str(url)) == url


@given(st.text())
def test_nothing_typed_raises_anything_else(text):
    for candidate in (text, f"serial://{text}", f"tcp://{text}"):
        try:
            LinkUrl.parse(candidate)
        except BadLinkUrl as refused:
            assert refused.hint  # noqa: PT017 -- most texts are refused, not all


def test_a_found_meters_url_is_short_enough_to_be_typed():
    url = LinkUrl.parse("serial:///dev/ttyUSB0?parity=none&data=8&stop=1").with_baud(9600)
    assert str(url) == "serial:///dev/ttyUSB0?baud=9600&parity=none"
    assert str(LinkUrl.parse("tcp://10.0.0.7:8899")) == "tcp://10.0.0.7:8899"
