"""Passwords: argon2id, what a new one must have, and random ones that can be read aloud."""

import secrets
import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wattkeeper.security.errors import PasswordRefused

SHORTEST: Final = 10
LONGEST: Final = 200
AT_ONCE: Final = 2
"""Hashes computed at the same time: each takes 64 MiB and a core for some tens of milliseconds."""
NAME_LENGTH: Final = 4
"""A user name this long must not be part of the password; two letters are part of every other word."""
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 4
_COMMON: Final = frozenset(
    """
    password passw0rd p@ssw0rd password1 password12 password123 passwordpassword 1234567890 12345678910 0123456789
    9876543210 0987654321 1111111111 0000000000 8888888888 6666666666 1122334455 1234512345 qwertyuiop qwerty1234
    qwerty12345 qwertyqwerty 1q2w3e4r5t 1qaz2wsx3edc asdfghjkl1 zxcvbnm123 abcdefghij abc1234567 abcd123456
    a123456789 a1234567890 woaini1314 woaini5201314 5201314520 iloveyou12 administrator admin12345 admin123456
    adminadmin wattkeeper wattkeeper1 welcome123 changeme123 letmein1234 electricity dianguanjia
    """.split()  # noqa: SIM905 (a list of words reads best as words)
)
"""The passwords of ten characters or more that are tried first (from published lists of leaked ones)."""

_hasher = PasswordHasher()  # argon2id, RFC 9106's second recommended option: 3 passes, 64 MiB, 4 lanes
_turns = threading.BoundedSemaphore(AT_ONCE)


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its salt and parameters."""
    with _turns:
        return _hasher.hash(_normal(password))


def matches(password: str, kept: str) -> bool:
    """Whether a password is the one that was hashed."""
    with _turns:
        try:
            return _hasher.verify(kept, _normal(password))
        except (VerificationError, InvalidHashError):
            return False


def outdated(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(kept)


def new_password() -> str:
    """A random password of 79 bits, in groups without letters that look alike."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def check_new(password: str, *, login: str) -> None:
    """Refuse a password that is short, common, or made of the user's name (NIST SP 800-63B §5.1.1.2)."""
    bare = _normal(password).casefold()
    if len(_normal(password)) < SHORTEST:
        raise PasswordRefused(
            f"A password has {SHORTEST} characters or more.",
            reason="short",
            hint="Several words in a row are easy to remember.",
        )
    if len(password) > LONGEST:
        raise PasswordRefused(f"A password has at most {LONGEST} characters.", reason="long")
    if bare in _COMMON or len(set(bare)) <= 2:  # noqa: PLR2004 (one or two different characters)
        raise PasswordRefused(
            "This password is among the first that anyone tries.", reason="common", hint="Choose another one."
        )
    if len(login) >= NAME_LENGTH and login.casefold() in bare:
        raise PasswordRefused("A password does not contain the user name.", reason="has_login")


def _normal(password: str) -> str:
    """One form for what looks the same, such as the full-width letters of a Chinese keyboard (SP 800-63B §5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
