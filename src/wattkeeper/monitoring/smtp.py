"""One conversation with the mail server: hands messages over and brings back its own words.

`smtplib.sendmail` throws away what the server says when it takes a message; that answer is the proof of delivery, so the
commands are given one by one here.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from email.utils import format_datetime
from typing import Final

from wattkeeper.monitoring.values import MailOptions, NoticeView

ACCEPTED: Final = range(200, 300)
REFUSED: Final = range(500, 600)
HANGS_UP: Final = 421


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: the proof, or an error that is final or not."""

    proof: str | None = None
    error: str | None = None
    final: bool = False
    """The server will refuse this message every time."""
    lost: bool = False
    """The conversation is over; what is left waits for another one."""


class Mailer:
    """Sends notices over one connection."""

    def __init__(self, server: smtplib.SMTP, options: MailOptions) -> None:
        self._server = server
        self._options = options

    def send(self, notice: NoticeView) -> Outcome:
        """Hand one message over; never raises for what a server or a network does."""
        message = message_for(notice, self._options).as_bytes(policy=MAIL_POLICY)
        try:
            return self._hand_over(notice.recipient, message)
        except (smtplib.SMTPException, OSError) as error:
            return Outcome(error=told(error), lost=True)

    def _hand_over(self, recipient: str, message: bytes) -> Outcome:
        self._server.ehlo_or_helo_if_needed()
        code: int
        reply: bytes | str
        code, reply = self._server.mail(self._options.sender)
        if code not in ACCEPTED:  # that the sender is refused is a setting to mend, not this message's fault
            return self._refused(code, reply, final=False)
        code, reply = self._server.rcpt(recipient)
        if code not in ACCEPTED:
            return self._refused(code, reply, final=code in REFUSED)
        code, reply = self._data(message)
        if code not in ACCEPTED:
            return self._refused(code, reply, final=code in REFUSED)
        return Outcome(proof=_said(code, reply))

    def _data(self, message: bytes) -> tuple[int, bytes | str]:
        """The message itself; where the server does not even want to hear it, smtplib raises what it said."""
        try:
            return self._server.data(message)
        except smtplib.SMTPDataError as error:
            return error.smtp_code, error.smtp_error

    def _refused(self, code: int, reply: bytes | str, *, final: bool) -> Outcome:
        """4xx ask to come again, 5xx not to; 421 says besides that the server hangs up (RFC 5321, 4.2.1)."""
        lost = code == HANGS_UP
        if not lost:
            self._server.rset()
        return Outcome(error=_said(code, reply), final=final, lost=lost)


def _said(code: int, reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{code} {text}".strip()


@contextmanager
def connected(options: MailOptions) -> Iterator[Mailer]:
    """A conversation with the server, signed in where a user is set.

    Raises:
        OSError, smtplib.SMTPException: the server cannot be reached or does not let us in.

    """
    context = ssl.create_default_context()
    if options.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            options.host, options.port, timeout=options.timeout_s, context=context
        )
    else:
        server = smtplib.SMTP(options.host, options.port, timeout=options.timeout_s)
    try:
        if options.security == "starttls":
            server.starttls(context=context)
        if options.user:
            server.login(options.user, options.password)
        yield Mailer(server, options)
    finally:
        _leave(server)


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye where somebody still listens."""
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()


def message_for(notice: NoticeView, options: MailOptions) -> EmailMessage:
    """A notice as a message; the same one at every attempt."""
    message = EmailMessage()
    message["From"] = options.sender
    message["To"] = notice.recipient
    message["Subject"] = notice.subject
    message["Date"] = format_datetime(notice.created_at)
    message["Message-ID"] = notice.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday notes are not sent back to it
    message["Content-Language"] = "zh-CN" if notice.language == "zh" else "en"
    message.set_content(notice.text, cte="base64")  # passes servers that know seven bits only
    return message


def told(error: Exception) -> str:
    """An error of the network or the server, in a sentence and without a secret."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error.smtp_code, error.smtp_error)
    return f"{type(error).__name__}: {error}"
