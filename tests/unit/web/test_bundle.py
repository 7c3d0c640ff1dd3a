"""The bundle that was built is the one that the templates need."""

import re
from pathlib import Path

import pytest

from wattkeeper.web.assets import DIST
from wattkeeper.web.pages import TEMPLATES

TABLER = Path(__file__).parents[3] / "web/node_modules/@tabler/core/dist/css/tabler.min.css"
OURS = {"legend"}
"""A class of app.css; Tabler's of the same name is left out on purpose, see build.mjs."""


def styled(css: Path) -> set[str]:
    """The classes that a style sheet has rules for."""
    return {
        name.replace("\\", "")
        for name in re.findall(r"\.((?:[A-Za-z_-]|\\.)(?:[\w-]|\\.)*)", css.read_text())
    }


def used() -> set[str]:
    """The words in the class attributes of all templates."""
    attributes = (
        attribute
        for template in TEMPLATES.rglob("*.html")
        for attribute in re.findall(r'class="([^"]*)"', template.read_text())
    )
    return {word for attribute in attributes for word in re.sub(r"{[{%].*?[%}]}", " ", attribute).split()}


@pytest.mark.skipif(not TABLER.is_file(), reason="the bundle was built elsewhere")
def test_every_class_of_a_template_that_tabler_styles_is_in_the_bundle():
    forgotten = (used() & styled(TABLER)) - styled(DIST / "tabler.min.css") - OURS
    assert not forgotten, "run `npm run build` in web/: a template uses what was not used before"


@pytest.mark.skipif(not TABLER.is_file(), reason="the bundle was built elsewhere")
def test_the_style_sheets_of_a_page_are_small():
    assert (DIST / "tabler.min.css").stat().st_size < TABLER.stat().st_size / 5
