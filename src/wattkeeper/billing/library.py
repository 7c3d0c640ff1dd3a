"""The tariffs at hand: those shipped, and those of a folder of the installation, which win."""

from collections.abc import Iterable
from pathlib import Path

from wattkeeper.billing.errors import TariffError, UnknownTariff
from wattkeeper.billing.tariff import Tariff
from wattkeeper.billing.tariff_reader import read_tariff_file

SHIPPED = Path(__file__).parent / "tariffs"


class TariffLibrary:
    """Tariffs by code, read once."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._tariffs = {tariff.code: tariff for tariff in tariffs}

    @classmethod
    def open(cls, *folders: Path) -> "TariffLibrary":
        """The shipped tariffs and those of `folders`; a later folder's tariff replaces an earlier one of its code."""
        found: dict[str, Tariff] = {}
        for folder in (SHIPPED, *folders):
            files: dict[str, Path] = {}
            for file in sorted(folder.glob("*.yaml")):
                tariff = read_tariff_file(file)
                if tariff.code in files:
                    raise TariffError(
                        f"the code {tariff.code} is used by {files[tariff.code].name} too.",
                        file=file.name,
                        line=1,
                        hint="Give each tariff of a folder its own code.",
                    )
                files[tariff.code] = file
                found[tariff.code] = tariff
        return cls(found.values())

    def all(self) -> list[Tariff]:
        """Every tariff, by code."""
        return [self._tariffs[code] for code in sorted(self._tariffs)]

    def get(self, code: str) -> Tariff:
        """The tariff of a code."""
        if code not in self._tariffs:
            raise UnknownTariff(
                f"There is no tariff {code}.", hint=f"Choose one of: {', '.join(sorted(self._tariffs))}."
            )
        return self._tariffs[code]
