"""Two languages: catalogues read from their .po files at start, and numbers, money and times as each language writes them."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency
from babel.support import Translations

from wattkeeper.kernel.money import Money
from wattkeeper.readings.quantities import QUANTITIES

CATALOGUES: Final = Path(__file__).parent / "locale"
DEFAULT_ZONE: Final = ZoneInfo("Asia/Shanghai")
Code = Literal["zh", "en"]
Day = date
Moment = datetime | date
LOCALES: Final[Mapping[Code, str]] = {"zh": "zh_CN", "en": "en"}
TAGS: Final[Mapping[Code, str]] = {"zh": "zh-CN", "en": "en"}

_DATE: Final = {"zh": "y年M月d日", "en": "d MMM y"}
_DAY: Final = {"zh": "M月d日 EEE", "en": "EEE d MMM"}
_MONTH: Final = {"zh": "y年M月", "en": "MMMM y"}
_MOMENT: Final = {"zh": "y-MM-dd HH:mm", "en": "d MMM y, HH:mm"}


@dataclass(frozen=True)
class Language:
    """How one language says things; `zone` is the site's, set per page with `at`."""

    code: Code
    locale: Locale
    translations: Translations
    zone: ZoneInfo

    @property
    def tag(self) -> str:
        """The language as HTML and HTTP name it."""
        return TAGS[self.code]

    def at(self, zone: ZoneInfo) -> "Language":
        """The same language, telling times in another zone."""
        return Language(self.code, self.locale, self.translations, zone)

    def text(self, message: str, **values: Any) -> str:
        """A message of the catalogue, with its `%(name)s` filled in."""
        found = self.translations.ugettext(message)
        return found % values if values else found

    def number(self, value: Decimal | float | None, decimals: int = 0) -> str:
        """A number with exactly so many decimals and grouped digits; a dash where there is none."""
        if value is None:
            return "–"
        # Both languages group by commas and divide by a point, as Python does in a fiftieth of Babel's time; a list of
        # 200 links has a thousand numbers. A float is what it is written as.
        exact = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        return f"{exact:,.{decimals}f}"

    def exact(self, value: Decimal | None, decimals: int = 0) -> str:
        """Every digit the value has, grouped, and at least so many decimals."""
        if value is None:
            return "–"
        plain = value.normalize()
        exponent = plain.as_tuple().exponent
        return self.number(plain, max(decimals, -exponent) if isinstance(exponent, int) else decimals)

    def percent(self, share: float | None, decimals: int = 1) -> str:
        """A share of one as percent; never 100 % unless all of it is."""
        if share is None:
            return "–"
        shown = min(share * 100, 99.9) if share < 1 else 100.0
        return f"{self.number(Decimal(str(shown)).quantize(Decimal(10) ** -decimals), decimals)}%"

    def money(self, amount: Money | None) -> str:
        """An amount with its currency sign."""
        if amount is None:
            return "–"
        return format_currency(amount.amount, amount.currency, locale=self.locale, currency_digits=True)

    def price(self, price: Decimal, currency: str) -> str:
        """A price of one unit with its currency sign and every digit it has."""
        return format_currency(
            price, currency, locale=self.locale, currency_digits=False, decimal_quantization=False
        )

    def quantity(self, key: str) -> str:
        """A quantity's name."""
        entry = QUANTITIES.get(key)
        if entry is None:
            return key
        return entry.name_zh if self.code == "zh" else entry.name_en

    def reading(self, value: Decimal | None, key: str) -> str:
        """A value with the decimals of its quantity, without its unit; a moment as a time."""
        entry = QUANTITIES.get(key)
        if entry is None or value is None:
            return self.exact(value)
        if entry.kind == "moment":
            return self.moment(datetime.fromtimestamp(float(value), UTC), seconds=True)
        return self.number(value, entry.decimals)

    def date(self, instant: Moment) -> str:
        """A civil date."""
        return format_date(self._civil(instant), _DATE[self.code], locale=self.locale)

    def day(self, instant: Moment) -> str:
        """A day of this year, with its weekday."""
        return format_date(self._civil(instant), _DAY[self.code], locale=self.locale)

    def month(self, instant: Moment) -> str:
        """A civil month."""
        return format_date(self._civil(instant), _MONTH[self.code], locale=self.locale)

    def time(self, instant: datetime) -> str:
        """A time of day to the second."""
        return format_time(instant.astimezone(self.zone), "HH:mm:ss", locale=self.locale)

    def moment(self, instant: datetime | None, *, seconds: bool = False) -> str:
        """A date and time; a dash where there is none."""
        if instant is None:
            return "–"
        pattern = _MOMENT[self.code] + (":ss" if seconds else "")
        return format_datetime(instant.astimezone(self.zone), pattern, locale=self.locale)

    def choose(self, zh: str | None, en: str | None) -> str:
        """Which of two given texts this language shows."""
        return (zh if self.code == "zh" else en) or zh or en or ""

    def listed(self, parts: Iterable[str]) -> str:
        """Some things in a row."""
        return ("、" if self.code == "zh" else ", ").join(parts)

    def _civil(self, instant: Moment) -> Day:
        return instant.astimezone(self.zone).date() if isinstance(instant, datetime) else instant


@functools.cache
def language(code: Code) -> Language:
    """The language of a code, its catalogue read once."""
    with (CATALOGUES / LOCALES[code] / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=LOCALES[code])
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Language(code, Locale.parse(LOCALES[code]), Translations(compiled), DEFAULT_ZONE)


def preferred(accept_language: str, *, default: Code) -> Code:
    """The language a browser asks for first among ours, else the default."""
    wanted = []
    for position, part in enumerate(accept_language.split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), position, tag[:2].lower()))
        except ValueError:
            continue
    return next((code for _, _, tag in sorted(wanted) if (code := known(tag))), default)


def known(tag: str | None) -> Code | None:
    """The code of a language we speak, None for any other."""
    match tag:
        case "zh" | "en":
            return tag
        case _:
            return None
