"""Notices on their way to a real SMTP server, which also misbehaves: what is proof, what is tried again, what is not."""

import asyncio
import email
import email.policy
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from wattkeeper.kernel.severity import Severity
from wattkeeper.monitoring.errors import MailNotSetUp, RecipientExists, RecipientRefused, UnknownRecipient
from wattkeeper.monitoring.models import NoticeKind, NoticeLanguage, NoticeState
from wattkeeper.monitoring.notices import NoticeService
from wattkeeper.monitoring.service import MonitoringService
from wattkeeper.monitoring.values import MailOptions, RecipientWanted

NOW = datetime(2026, 11, 22, 9, 37, 5, tzinfo=UTC)
ZH, EN = NoticeLanguage.ZH, NoticeLanguage.EN


class Inbox:
    """What the server took, and how it answers."""

    def __init__(self):
        self.messages = []
        self.rcpt = []
        """Answers to RCPT, one after another; then "250 OK"."""
        self.data = []
        self.hang_up = 0

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.hang_up:
            self.hang_up -= 1
            server.transport.abort()
            await asyncio.sleep(0)
        answer = self.rcpt.pop(0) if self.rcpt else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.data:
            return self.data.pop(0)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return f"250 2.0.0 queued as {len(self.messages)}"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def server(inbox) -> Iterator[Controller]:
    controller = Controller(inbox, hostname="127.0.0.1", port=_free_port())
    controller.start()
    yield controller
    controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def options(port, **more):
    return MailOptions(
        **{
            "host": "127.0.0.1", "port": port, "security": "none", "sender": "alarms@example.org", "timeout_s": 5.0,
            "public_url": "https://meters.example.org",
        }
        | more
    )  # fmt: skip


@pytest.fixture
def monitor(network, hub, server) -> MonitoringService:
    return MonitoringService(network.database, hub, collector=network, mail=options(server.port))


def tell(monitor, address="li@example.org", language=ZH, **more):
    return monitor.notices.add_recipient(RecipientWanted(email=address, language=language, **more), NOW)


def overvoltage(monitor, network, meter=0, *, at=NOW):
    monitor.tick(at, [network.reading(meter, "240.0"), network.reading(meter, "248.3")])


def log_of(monitor):
    rows = reversed(monitor.notices.notices().rows)
    return [(row.recipient, row.kind.value, row.state.value, row.attempts) for row in rows]


def test_a_raised_and_a_cleared_alarm_are_told_once_with_the_servers_words_as_proof(monitor, network, inbox):
    tell(monitor)
    tell(monitor, "smith@example.org", EN)
    overvoltage(monitor, network)
    assert monitor.notices.deliver(NOW) == 2
    monitor.tick(NOW + timedelta(minutes=1), [network.reading(0, "230.0"), network.reading(0, "230.0")])
    assert monitor.notices.deliver(NOW + timedelta(minutes=1)) == 2
    assert monitor.notices.deliver(NOW + timedelta(minutes=2)) == 0
    by_recipient = {message["to"]: message for message in inbox.messages[:2]}
    chinese, english = by_recipient["li@example.org"], by_recipient["smith@example.org"]
    assert chinese["subject"] == "【重要告警】电表 000000000161 A相电压越上限：248.3 V > 235.4 V"
    assert english["subject"] == "[warning] Meter 000000000161: Voltage L1 too high, 248.3 V > 235.4 V"
    assert "位置：0号楼" in chinese.get_content()
    assert "Details: https://meters.example.org/alarms/1" in english.get_content()
    assert (chinese["from"], chinese["auto-submitted"]) == ("alarms@example.org", "auto-generated")
    notices = {(row.recipient, row.kind): row for row in monitor.notices.notices().rows}
    assert len(notices) == 4
    proof = notices["li@example.org", NoticeKind.RAISED]
    assert (proof.state, proof.proof, proof.sent_at) == (NoticeState.SENT, "250 2.0.0 queued as 1", NOW)
    assert chinese["message-id"] == proof.message_id
    assert inbox.messages[2]["subject"].startswith("【告警解除】电表 000000000161")


def test_a_recipient_refused_for_good_is_not_tried_again(monitor, network, inbox):
    tell(monitor)
    tell(monitor, "smith@example.org")
    inbox.rcpt = ["550 5.1.1 no such user"]
    overvoltage(monitor, network)
    assert monitor.notices.deliver(NOW) == 1, "the other one is told all the same"
    [first, second] = reversed(monitor.notices.notices().rows)
    assert (first.state, first.error, first.proof) == (NoticeState.FAILED, "550 5.1.1 no such user", None)
    assert second.state is NoticeState.SENT
    assert monitor.notices.deliver(NOW + timedelta(days=1)) == 0


@pytest.mark.parametrize("where", ["rcpt", "data"])
def test_one_put_off_is_tried_again_under_the_same_message_id(monitor, network, inbox, where):
    tell(monitor)
    setattr(inbox, where, ["451 4.3.0 try again later"])
    overvoltage(monitor, network)
    assert monitor.notices.deliver(NOW) == 0
    [waiting] = monitor.notices.notices().rows
    assert (waiting.state, waiting.error) == (NoticeState.QUEUED, "451 4.3.0 try again later")
    assert waiting.next_attempt_at == NOW + timedelta(minutes=1)
    assert monitor.notices.deliver(NOW + timedelta(seconds=59)) == 0
    assert monitor.notices.deliver(NOW + timedelta(seconds=60)) == 1
    assert inbox.messages[0]["message-id"] == waiting.message_id
    assert log_of(monitor) == [("li@example.org", "raised", "sent", 2)]


def test_a_server_that_hangs_up_costs_an_attempt_and_nothing_else(monitor, network, inbox):
    tell(monitor)
    tell(monitor, "smith@example.org")
    inbox.hang_up = 1
    overvoltage(monitor, network)
    assert monitor.notices.deliver(NOW) == 0
    assert {row[2:] for row in log_of(monitor)} == {("queued", 1)}
    assert "Disconnected" in monitor.notices.notices().rows[-1].error
    assert monitor.notices.deliver(NOW + timedelta(minutes=1)) == 2


def test_without_a_server_it_is_tried_for_a_day_and_then_given_up(network, hub):
    monitor = MonitoringService(network.database, hub, collector=network, mail=options(_free_port()))
    tell(monitor)
    overvoltage(monitor, network)
    now, tried = NOW, 0
    while (notice := monitor.notices.notices().rows[0]).state is NoticeState.QUEUED:
        now = notice.next_attempt_at
        assert monitor.notices.deliver(now) == 0
        tried += 1
    assert notice.state is NoticeState.GIVEN_UP
    assert "refused" in notice.error.lower()
    assert (tried, now - NOW < timedelta(hours=24)) == (29, True)  # 6 in the first hour, then one an hour


def test_what_was_queued_survives_the_process_and_is_repeated_recognisably(
    monitor, network, inbox, monkeypatch
):
    tell(monitor)
    overvoltage(monitor, network)

    def die(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(NoticeService, "_settle", die)  # the server has taken it; our note of that is lost
        with pytest.raises(KeyboardInterrupt):
            monitor.notices.deliver(NOW)
    again = NoticeService(network.database, monitor.notices.options)
    assert again.deliver(NOW + timedelta(seconds=5)) == 1
    assert len(inbox.messages) == 2
    assert len({message["message-id"] for message in inbox.messages}) == 1


def test_who_is_told_depends_on_severity_and_on_the_part_of_the_network(monitor, network):
    tell(monitor, "all@example.org", EN, minimum_severity=Severity.INFO)
    tell(monitor, "worst@example.org", EN, minimum_severity=Severity.CRITICAL)
    tell(monitor, "first@example.org", EN, area_id=network.areas[0])
    tell(monitor, "second@example.org", EN, area_id=network.areas[1])
    tell(monitor, "site@example.org", EN, site_id=network.site)
    tell(monitor, "all@example.org", EN, area_id=network.areas[0])  # two rules, one notice
    overvoltage(monitor, network)
    told = sorted(row.recipient for row in monitor.notices.notices().rows)
    assert told == ["all@example.org", "first@example.org", "site@example.org"]


def test_nobody_is_told_where_no_mail_server_is_set_up(network, hub):
    monitor = MonitoringService(network.database, hub, collector=network)
    recipient = tell(monitor)
    overvoltage(monitor, network)
    assert (monitor.notices.deliver(NOW), monitor.notices.notices().rows) == (0, ())
    with pytest.raises(MailNotSetUp):
        monitor.notices.try_out(recipient.id, NOW)


def test_a_test_message_tries_the_way(monitor, inbox):
    recipient = tell(monitor)
    monitor.notices.try_out(recipient.id, NOW)
    assert monitor.notices.deliver(NOW) == 1
    assert inbox.messages[0]["subject"] == "【测试】电管家告警通知"
    with pytest.raises(UnknownRecipient):
        monitor.notices.try_out(99, NOW)


def test_a_recipient_is_added_once_and_removed(monitor):
    recipient = tell(monitor, " li@example.org ")
    assert recipient.email == "li@example.org"
    with pytest.raises(RecipientExists):
        tell(monitor)
    monitor.notices.remove_recipient(recipient.id, NOW)
    assert monitor.notices.recipients() == []
    with pytest.raises(UnknownRecipient):
        monitor.notices.remove_recipient(recipient.id, NOW)


@pytest.mark.parametrize(
    "address", ["", "li", "li@", "@example.org", "li@example", "a b@example.org", "li@example.org\nBcc: x@y.z", "Li <li@example.org>"]
)  # fmt: skip
def test_what_is_no_address_is_refused(monitor, address):
    with pytest.raises(RecipientRefused):
        tell(monitor, address)


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate for 127.0.0.1 that this process trusts."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(("password", "sent"), [("right", 1), ("wrong", 0)])
@pytest.mark.filterwarnings(
    "ignore:Requiring AUTH:UserWarning"
)  # the peer does not see that TLS is around it
def test_the_way_is_encrypted_and_signed_in(network, hub, inbox, certificate, *, security, password, sent):
    def authenticate(server, session, envelope, mechanism, data):
        return AuthResult(success=data.password == b"right" and data.login == b"meter", handled=False)

    more = (
        {"tls_context": certificate, "require_starttls": True}
        if security == "starttls"
        else {"ssl_context": certificate, "auth_require_tls": False}
    )
    controller = Controller(
        inbox, hostname="127.0.0.1", port=_free_port(), authenticator=authenticate, auth_required=True, **more
    )
    controller.start()
    try:
        mail = options(controller.port, security=security, user="meter", password=password)
        monitor = MonitoringService(network.database, hub, collector=network, mail=mail)
        tell(monitor)
        overvoltage(monitor, network)
        assert monitor.notices.deliver(NOW) == sent
    finally:
        controller.stop()
    [notice] = monitor.notices.notices().rows
    assert notice.state is (NoticeState.SENT if sent else NoticeState.QUEUED)
    assert sent or notice.error.startswith("535")
