"""What can be wrong with a meter, on demand."""

import random
from dataclasses import dataclass
from typing import NamedTuple

_HEAD_OCTETS = 4  # preamble before the first 68H
_ADDRESS_OCTET = _HEAD_OCTETS + 1
_END_OCTETS = 2


class Emission(NamedTuple):
    """Bytes a meter puts on the wire, so many seconds later than it should."""

    after: float
    octets: bytes


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares are of all answers, 0 to 1.

    Attributes:
        dead: never answers.
        slow: answers later than it should. [s]
        noisy: some bytes arrive changed, behind noise.
        half: the answer breaks off in the middle.
        stranger: an answer with another meter's address comes in its place.
        duplicate: the answer comes twice.

    """

    dead: bool = False
    slow: float = 0.0
    noisy: float = 0.0
    half: float = 0.0
    stranger: float = 0.0
    duplicate: float = 0.0

    def apply(self, reply: bytes, dice: random.Random) -> list[Emission]:
        """What becomes of a sound reply (with its preamble of 4)."""
        if self.dead:
            return []
        if self.stranger and dice.random() < self.stranger:
            reply = _of_another_meter(reply)
        if self.noisy and dice.random() < self.noisy:
            reply = _damaged(reply, dice)
        if self.half and dice.random() < self.half:
            reply = reply[: len(reply) // 2]
        twice = self.duplicate and dice.random() < self.duplicate
        return [Emission(self.slow, reply)] * (2 if twice else 1)


def _of_another_meter(reply: bytes) -> bytes:
    """The same answer under the next address, its checksum sound."""
    changed = bytearray(reply)
    changed[_ADDRESS_OCTET] ^= 0x01
    changed[-_END_OCTETS] = sum(changed[_HEAD_OCTETS:-_END_OCTETS]) & 0xFF
    return bytes(changed)


def _damaged(reply: bytes, dice: random.Random) -> bytes:
    """Noise before the frame, and one to three bits of it turned."""
    changed = bytearray(reply)
    for place in dice.sample(range(_HEAD_OCTETS, len(changed)), k=dice.randint(1, 3)):
        changed[place] ^= 1 << dice.randrange(8)
    return dice.randbytes(dice.randrange(4)) + bytes(changed)
