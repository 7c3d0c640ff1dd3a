"""What goes wrong about users, sign-in and rights."""

from wattkeeper.kernel.errors import WattkeeperError


class SecurityError(WattkeeperError):
    """Something about users, sessions, tokens or the audit."""


class SignInRefused(SecurityError):
    """User name and password do not belong together, or the user is disabled; it does not say which."""


class SignInThrottled(SecurityError):
    """Too many failed sign-ins; `retry_after_s` says how long to wait."""

    def __init__(self, message: str, *, retry_after_s: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class NotSignedIn(SecurityError):
    """What was asked for needs a signed-in user or a token."""


class TokenRefused(NotSignedIn):
    """A token is unknown, has expired or was revoked."""


class Forbidden(SecurityError):
    """The user is known and lacks the right."""


class PasswordChangeRequired(Forbidden):
    """The user has a first password and has to choose their own."""


class PasswordRefused(SecurityError):
    """A new password is too easy to guess, or the present one is wrong; `reason` is a stable code."""

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class UnknownUser(SecurityError):
    """There is no such user."""


class UnknownSession(SecurityError):
    """There is no such session, or it has ended."""


class UnknownAct(SecurityError):
    """There is no such act in the audit."""


class UnknownToken(SecurityError):
    """There is no such token."""


class UserRefused(SecurityError):
    """A user cannot be added or changed like that; `reason` is a stable code."""

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
