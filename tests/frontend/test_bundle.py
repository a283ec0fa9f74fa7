"""Bundles of scripts and style sheets, from the package and joined as text."""

from __future__ import annotations

import collections
import re

import pytest

from fmwidget.frontend.bundle import EXPORT, IMPORT, SCRIPTS, STYLES, bundle
from fmwidget.frontend.picture_view import PictureView
from fmwidget.frontend.thumbnail_picker import ThumbnailPicker


@pytest.mark.parametrize("widget", [PictureView, ThumbnailPicker])
def test_the_front_end_comes_from_the_package(widget):
    entry = "picture_view.js" if widget is PictureView else "thumbnail_picker.js"
    source = (SCRIPTS / entry).read_text(encoding="utf-8")
    assert widget()._esm == bundle(entry)
    assert widget()._esm.endswith(source[source.index("function render(") :])
    sheets = [path.read_text(encoding="utf-8") for path in STYLES.iterdir()]
    assert all(widget()._css.count(sheet) == 1 for sheet in sheets)
    assert max(len(sheet.splitlines()) for sheet in sheets) < 200


MODULES = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js")}


def test_a_bundle_holds_each_module_once_and_no_import():
    whole = bundle("picture_view.js")
    assert "import " not in whole
    assert re.findall(r"^export.*", whole, re.MULTILINE) == ["export default { render };"]
    for name, text in MODULES.items():
        first = text.splitlines()[0]
        assert whole.count(first) <= 1, name
    # Names that a module uses at once, not only in functions that are called later, are defined before it.
    assert (
        whole.index("function element(") < whole.index("function outlines(") < whole.index("function render(")
    )


@pytest.mark.parametrize("name", MODULES)
def test_modules_keep_to_what_can_be_bundled(name):
    text = MODULES[name]
    assert len(text.splitlines()) < 200
    imports = IMPORT.findall(text)
    assert len(imports) == len(re.findall(r"\bimport\b", text))
    exports = EXPORT.findall(text)
    assert len(exports) == len(re.findall(r"^export (?!default)", text, re.MULTILINE))
    for names, other in imports:
        wanted = {one.strip() for one in names.split(",") if one.strip()}
        assert wanted <= set(EXPORT.findall(MODULES[other])), f"{name} imports what {other} does not export"


ENTRIES = [name for name, text in MODULES.items() if "export default" in text]


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_two_modules_give_one_name_to_different_things(entry):
    top = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
    names = collections.Counter(top.findall(bundle(entry)))
    assert [name for name, count in names.items() if count > 1] == []
