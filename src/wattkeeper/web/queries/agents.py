"""A browser in plain words: what its user agent says, as far as people care."""

from typing import Final

from wattkeeper.web.language import Language
from wattkeeper.web.queries.states import N_

# The first sign that is found decides: browsers name those they descend from, too.
_BROWSERS: Final = (
    ("MicroMessenger", N_("WeChat")),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
)
_SYSTEMS: Final = (
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_text(agent: str, say: Language) -> str:
    """What device and browser a user agent stands for."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in agent), None)
    if browser and system:
        return say.text("%(browser)s on %(system)s", browser=say.text(browser), system=system)
    return say.text(browser) if browser else system or say.text("an unknown program")
