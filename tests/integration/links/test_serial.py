"""Serial links over pseudo-terminals, which know baud rates as numbers and no parity at all."""

import asyncio
import os
import termios
import tty

import pytest
import serialx

from wattkeeper.links import Bus, LinkBusy, LinkLost, LinkUnavailable, LinkUrl


class Port:
    """Both ends of a pseudo-terminal; answers questions with 42."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.requests: list[bytes] = []
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        request = os.read(self.master, 1000)
        self.requests.append(request)
        os.write(self.master, request.replace(b"?", b"=42."))

    def unplug(self) -> None:
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            os.close(self.slave)
            self.master = -1


@pytest.fixture
async def port():
    end = Port()
    yield end
    end.unplug()


@pytest.fixture
async def bus(port, haste):
    link = Bus("serial", LinkUrl.parse(f"serial://{port.path}?baud=9600&parity=none"), timing=haste)
    yield link
    await link.close()


async def test_a_question_is_answered_over_a_serial_port(bus, port, question):
    assert (await bus.run(question("power"))).answers == ["42"]
    assert port.requests == [b"power?"]


async def test_the_port_is_set_to_the_speed_of_the_url(bus, port):
    await bus.open()
    settings = termios.tcgetattr(port.slave)
    assert settings[4] == settings[5] == termios.B9600
    assert settings[2] & termios.CSIZE == termios.CS8


async def test_8e1_is_what_the_port_is_asked_for(monkeypatch, haste):
    asked = {}

    async def remember(transport, **configuration):
        asked.update(configuration)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(serialx.SerialTransport, "connect", remember)
    meter = Bus("serial", LinkUrl.parse("serial:///dev/ttyUSB9"), timing=haste)
    with pytest.raises(LinkUnavailable, match="There is no serial port /dev/ttyUSB9"):
        await meter.open()
    assert asked == {
        "path": "/dev/ttyUSB9",
        "baudrate": 2400,
        "byte_size": 8,
        "parity": serialx.Parity.EVEN,
        "stopbits": serialx.StopBits.ONE,
        "exclusive": True,
    }


async def test_a_port_without_parity_is_told_from_one_that_is_absent(bus, port, haste):
    await bus.open()  # the C library reports a refused parity only when nothing else changed
    await bus.close()
    even = Bus("serial", LinkUrl.parse(f"serial://{port.path}?baud=9600&parity=even"), timing=haste)
    with pytest.raises(LinkUnavailable, match="cannot do 9600 baud 8E1") as refused:
        await even.open()
    assert "parity=none" in refused.value.hint


async def test_a_port_that_could_not_be_set_up_is_free_for_the_next(bus, port, haste, question):
    await bus.open()
    await bus.close()
    even = Bus("serial", LinkUrl.parse(f"serial://{port.path}?baud=9600&parity=even"), timing=haste)
    with pytest.raises(LinkUnavailable):
        await even.open()
    again = Bus("serial", LinkUrl.parse(f"serial://{port.path}?baud=9600&parity=none"), timing=haste)
    assert (await again.run(question("power"))).answers == ["42"]
    await again.close()


async def test_a_port_in_use_is_not_opened_twice(bus, port, haste):
    await bus.open()
    second = Bus("second", bus.url, timing=haste)
    with pytest.raises(LinkBusy, match=f"Another program holds {port.path}"):
        await second.open()
    await bus.close()
    await asyncio.sleep(0)
    third = Bus("third", bus.url, timing=haste)
    await third.open()
    await third.close()
    await second.close()


async def test_a_file_that_is_no_port_is_called_so(tmp_path, haste):
    (tmp_path / "notes.txt").write_text("not a port")
    bus = Bus("serial", LinkUrl.parse(f"serial://{tmp_path}/notes.txt"), timing=haste)
    with pytest.raises(LinkUnavailable, match="is not a serial port"):
        await bus.open()


async def test_an_adapter_pulled_out_is_a_lost_link_and_then_an_absent_port(bus, port, question):
    await bus.run(question("power"))
    port.unplug()
    with pytest.raises((LinkLost, LinkUnavailable)):
        await bus.run(question("power"))
    assert not bus.state.connected
    assert bus.state.lost == 1
