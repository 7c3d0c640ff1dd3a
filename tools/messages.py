"""Bring the message catalogues up to the code, and put translations in.

    uv run python tools/messages.py                       extract, update both catalogues, list what lacks Chinese
    uv run python tools/messages.py --zh translations.json   the same, taking {"English": "中文"} from a file first

English texts are their own translation. A message that the code no longer has leaves both catalogues.
"""

import json
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).resolve().parent.parent / "src" / "wattkeeper" / "web"
LOCALES = ("zh_CN", "en")
WIDTH = 120


def main() -> int:
    """Update both catalogues; the exit code says whether every message has Chinese."""
    given = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")) if sys.argv[1:2] == ["--zh"] else {}
    template = _template()
    missing: list[str] = []
    for locale in LOCALES:
        path = WEB / "locale" / locale / "messages.po"
        with path.open("rb") as file:
            catalogue = read_po(file, locale=locale)
        template.creation_date = catalogue.creation_date  # a date that changes with every run says nothing
        catalogue.update(template, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        for message in catalogue:
            if not message.id:
                continue
            message.locations = []
            if locale == "en":
                message.string = message.id
            elif message.id in given:
                message.string = given[message.id]
            elif not message.string:
                missing.append(str(message.id))
        with path.open("wb") as file:
            write_po(file, catalogue, width=WIDTH, omit_header=False, sort_output=True, no_location=True)
    unknown = [text for text in given if text not in template]
    for text in unknown:
        print(f"not in the code: {text}")
    for text in missing:
        print(f"no Chinese: {text}")
    return 1 if missing or unknown else 0


def _template() -> Catalog:
    template = Catalog()
    found = extract_from_dir(
        WEB,
        method_map=[("**.py", "python"), ("**/templates/**.html", "jinja2")],
        keywords={"_": None, "gettext": None, "N_": None, "text": None},
    )
    for _, _, message, comments, context in found:
        template.add(message, auto_comments=comments, context=context)
    return template


if __name__ == "__main__":
    sys.exit(main())
