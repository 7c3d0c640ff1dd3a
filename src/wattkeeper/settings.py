"""Settings: one class, one file, and the environment on top of it.

Order, last wins: the defaults below, `wattkeeper.toml`, environment variables `WATTKEEPER_<NAME>`,
command-line options. Every field is described in docs/reference/settings.md, which a test holds to this file.
"""

import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from wattkeeper.kernel.errors import WattkeeperError

CONFIG_FILE = "wattkeeper.toml"
CONFIG_VARIABLE = "WATTKEEPER_CONFIG"


class SettingsError(WattkeeperError):
    """A setting is unknown or has a value that cannot be used."""


class Settings(BaseSettings):
    """What an installation may choose. Every field has a default: none must be set to start."""

    model_config = SettingsConfigDict(env_prefix="WATTKEEPER_", extra="forbid", frozen=True)

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of everything kept: the ledger database, the readings store, the lock, the socket.",
    )
    ledger_url: str = Field(
        default="",
        description="Ledger database as an SQLAlchemy URL (`postgresql://...`); empty: SQLite in `data_dir`.",
    )
    readings_url: str = Field(
        default="",
        description="Catalogue of the readings store as a PostgreSQL URL; empty: embedded, in `data_dir`.",
    )
    readings_path: Path | None = Field(
        default=None,
        description="Folder of the readings store's Parquet files when the catalogue is in PostgreSQL.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address the web server listens on. Beyond loopback it needs `tls_certificate`, `tls_key` and `public_url`.",
    )
    port: int = Field(
        default=8645, ge=0, le=65535, description="TCP port of the web server; 0 takes a free one."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.\-]+(:\d+)?)?$",
        description="The address people use, such as `https://meters.example.org`: with TLS of our own, or of a reverse proxy on this machine.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="File with the server's certificate and its chain (PEM)."
    )
    tls_key: Path | None = Field(default=None, description="File with the certificate's private key (PEM).")
    language: Literal["zh", "en"] = Field(
        default="zh", description="Language of pages and documents when the visitor has chosen none."
    )
    zone: str = Field(
        default="Asia/Shanghai", description="Time zone of a site that is created without one (IANA name)."
    )
    currency: str = Field(
        default="CNY", description="Currency of a site that is created without one (ISO 4217)."
    )
    collect: bool = Field(default=True, description="Read meters while the server runs.")
    history_days: int = Field(
        default=70,
        ge=0,
        le=3660,
        description="How far back a newly seen meter's load record is fetched, in days.",
    )
    live_seconds: int = Field(
        default=60, ge=1, le=86400, description="Seconds between two readings of voltage, current and power."
    )
    commit_seconds: Decimal = Field(
        default=Decimal(1),
        gt=0,
        le=60,
        description="The longest that readings wait in memory before they are committed, in seconds.",
    )
    meter_password: SecretStr = Field(
        default=SecretStr(""),
        description="What meters want to hear before they obey a command, 8 digits: level and password, such as `02123456` (DL/T 645); empty: no commands. Best given as `WATTKEEPER_METER_PASSWORD`.",
    )
    meter_operator: str = Field(
        default="00000000",
        pattern=r"^\d{8}$",
        description="Operator code that goes with each command, 8 digits; meters keep it in their records.",
    )
    set_clocks: bool = Field(
        default=False,
        description="Set the clocks of meters that are 5 seconds to 5 minutes off: by broadcast to the whole line, at most once a day, between 1 and 5 at night (DL/T 645). One further off is an alarm, and set by a command.",
    )
    direct_close: bool = Field(
        default=False,
        description="Allow closing a relay with nobody at the meter. Off, the customer is only allowed to close it by the meter's key: somebody may be at the wires.",
    )
    modbus_maps: Path | None = Field(
        default=None,
        description="Folder of your own Modbus register maps (TOML), beside those that are shipped and before them.",
    )
    forward_url: str = Field(
        default="",
        pattern=r"^(https://[A-Za-z0-9.\-]+(:\d+)?|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)?$",
        description="Platform that the readings collected here are sent to, such as `https://meters.example.org`; empty: none. HTTPS, but on this machine itself.",
    )
    forward_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token of a user there, with the right `readings.deliver`; comes with `forward_url`. Best given as `WATTKEEPER_FORWARD_TOKEN`.",
    )
    forward_authority: Path | None = Field(
        default=None,
        description="File of certificates (PEM) to trust instead of the machine's own, where the platform's is signed by your own authority.",
    )
    forward_frames: bool = Field(
        default=True,
        description="Send the frames that readings came in, too; off, they stay at this collector, and the line carries a tenth.",
    )
    outbox_megabytes: int = Field(
        default=256,
        ge=16,
        le=100_000,
        description="Bound of the outbox on this disk; what does not fit waits in the readings store.",
    )
    maintenance_minutes: int = Field(
        default=30,
        ge=1,
        le=1440,
        description="Minutes between two runs of the readings store's maintenance (merge, sort, expire).",
    )
    archive_dir: Path | None = Field(
        default=None,
        description="Folder of the archive: old months as Parquet with checksums. It belongs on another disk.",
    )
    keep_registers_days: int = Field(
        default=0,
        ge=0,
        description="Days that registers and demands stay in the store once archived; 0: for ever.",
    )
    keep_instantaneous_days: int = Field(
        default=0,
        ge=0,
        description="The same for voltage, current, power and other instantaneous values; 0: for ever.",
    )
    keep_intervals_days: int = Field(default=0, ge=0, description="The same for intervals; 0: for ever.")
    keep_superseded_days: int = Field(
        default=0,
        ge=0,
        description="The same for values that were replaced: what was known at a past moment; 0: for ever.",
    )
    keep_exchanges_days: int = Field(
        default=90,
        ge=1,
        description="Days that frames are kept. They are archived first where there is an `archive_dir`, by the month.",
    )
    frequency_band_hz: Decimal = Field(
        default=Decimal("0.2"),
        gt=0,
        le=5,
        description="How far the grid's frequency may be from 50 Hz before an alarm, in Hz; 0.5 suits a small system (GB/T 15945).",
    )
    smtp_host: str = Field(
        default="", description="Mail server that notices of alarms are handed to; empty: nobody is told."
    )
    smtp_port: int = Field(
        default=587, ge=1, le=65535, description="Its port: most often 587 with `starttls`, 465 with `tls`."
    )
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        default="starttls",
        description="How the way to it is protected: `starttls` (begun in the clear, then encrypted), `tls` (encrypted from the start), or `none`.",
    )
    smtp_user: str = Field(default="", description="User to sign in with at the mail server; empty: none.")
    smtp_password: SecretStr = Field(
        default=SecretStr(""),
        description="Its password; best given as `WATTKEEPER_SMTP_PASSWORD`, not in the file.",
    )
    smtp_from: str = Field(
        default="", description="Sender of notices, such as `alarms@example.org`; comes with `smtp_host`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe log line that is written."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines for people (`text`) or for machines (`json`)."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature; no .env file is read)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment, then the file."""
        file = TomlConfigSettingsSource(settings_cls, config_file())
        return init_settings, env_settings, file

    @field_validator("meter_password")
    @classmethod
    def _eight_digits(cls, value: SecretStr) -> SecretStr:
        # Not a pattern of the field: pydantic cannot hold one against a secret.
        if not re.fullmatch(r"([0-9]{8})?", value.get_secret_value()):
            raise ValueError("a meter password has 8 digits: level and password, such as 02123456")
        return value

    @model_validator(mode="after")
    def _sender_of_notices(self) -> Self:
        if self.smtp_host and "@" not in self.smtp_from:
            raise ValueError("smtp_host needs smtp_from, the sender's address, such as alarms@example.org")
        return self

    @model_validator(mode="after")
    def _archived_before_let_go(self) -> Self:
        ages = {
            name: getattr(self, name)
            for name in (
                "keep_registers_days",
                "keep_instantaneous_days",
                "keep_intervals_days",
                "keep_superseded_days",
            )
        }
        limited = [name for name, days in ages.items() if days]
        if limited and self.archive_dir is None:
            raise ValueError(f"{limited[0]} needs archive_dir: nothing is let go of that is not archived")
        if 0 < self.keep_registers_days < self.history_days + 62:
            raise ValueError(
                "keep_registers_days is 62 or more beyond history_days, or what was let go of would be read again"
            )
        return self

    @model_validator(mode="after")
    def _platform(self) -> Self:
        if self.forward_url and not self.forward_token.get_secret_value():
            raise ValueError("forward_url needs forward_token, a token of a user of that platform")
        return self

    @property
    def ledger(self) -> str:
        """The URL of the ledger database."""
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite'}"

    @property
    def outbox(self) -> Path:
        """The folder of what waits for the platform."""
        return self.data_dir / "outbox"


def config_file() -> Path:
    """The file that settings are read from: `$WATTKEEPER_CONFIG`, or `wattkeeper.toml` in this folder."""
    return Path(os.environ.get(CONFIG_VARIABLE) or CONFIG_FILE)


def load_settings(**options: Any) -> Settings:
    """Settings from options, environment and file.

    Raises:
        SettingsError: the file is missing though named, is not TOML, or a value cannot be used.

    """
    path = config_file()
    _check_file(path)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(
            _sentence(error, path), hint="docs/reference/settings.md lists every setting."
        ) from None


def _check_file(path: Path) -> None:
    if os.environ.get(CONFIG_VARIABLE) and not path.is_file():
        raise SettingsError(
            f"{CONFIG_VARIABLE} names {path}, which is not a file.", hint="Correct it or unset it."
        )
    if not path.exists():
        return
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is not valid TOML: {error}.", hint="Mend that line; nothing was started."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}.", hint="Check its permissions."
        ) from None


def _sentence(error: ValidationError, path: Path) -> str:
    """What is wrong, setting by setting, with where it was said."""
    problems = []
    for item in error.errors():
        if not item["loc"]:  # several settings do not go together; their values are nobody's business
            problems.append(item["msg"].removeprefix("Value error, "))
            continue
        name = str(item["loc"][0])
        if item["type"] == "extra_forbidden":
            problems.append(f"{path}: there is no setting `{name}`")
            continue
        variable = f"WATTKEEPER_{name.upper()}"
        where = variable if variable in os.environ else str(path)
        value = "…" if name.endswith(("password", "token")) else repr(item["input"])
        problems.append(
            f"`{name}` (from {where} or the command line) = {value}: {item['msg'].removeprefix('Value error, ')}"
        )
    return "; ".join(problems) + "."
