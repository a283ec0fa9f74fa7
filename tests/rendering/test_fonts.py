"""Names in Hangul: written in a font that has its letters where one is installed, never as empty boxes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from fmwidget.analysis.channel_stats import channel_statistics
from fmwidget.rendering import text
from fmwidget.rendering.feature_grid import draw_grid
from fmwidget.rendering.figure import feature_figure
from fmwidget.rendering.grid_layout import grid_layout


def make_font(path, family, characters):
    """Make a font in which each of the characters is a solid block, half as wide as it is high."""
    pen = TTGlyphPen(None)
    for corner, place in zip("mlll", [(0, 0), (500, 0), (500, 1000), (0, 1000)], strict=True):
        (pen.moveTo if corner == "m" else pen.lineTo)(place)
    pen.closePath()
    block = pen.glyph()
    names = {f"block{ord(each)}": each for each in characters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap({ord(each): name for name, each in names.items()})
    builder.setupGlyf(dict.fromkeys((".notdef", *names), block))
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (600, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


CACHES = (text._fonts, text._register_new_fonts, text.printable, text.rasterize)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Limit matplotlib to its own fonts, and return a list to which a test adds font files."""
    own = [each for each in font_manager.fontManager.ttflist if each.name not in text.CJK_FAMILIES]
    files: list[str] = []
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    for cache in CACHES:
        cache.cache_clear()
    yield files
    for cache in CACHES:
        cache.cache_clear()


def page(path):
    maps = np.random.default_rng(0).random((5, 5, 4))
    statistics = channel_statistics(maps)
    return draw_grid(grid_layout(maps.shape), maps, statistics, path=path, type_name="Conv2D")


def test_a_font_that_was_installed_since_is_found_and_used(installed, tmp_path):
    make_font(tmp_path / "nanum.ttf", "NanumGothic", "고양이")
    make_font(tmp_path / "other.ttf", "Some Other Font", "고양이개")
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    installed += [str(tmp_path / name) for name in ("nanum.ttf", "other.ttf", "damaged.ttf")]
    assert text.printable("고양이 conv 개") == "고양이 conv ?"
    coverage = text.rasterize("고", 40).coverage
    assert coverage.shape[0] == pytest.approx(40, abs=2)
    assert coverage[2:-2, 4:-4].min() == 255
    drawn = page("고양이")
    assert drawn.texts[0].text == "고양이"
    figure = feature_figure(drawn)
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    assert ">고양이</text>" in file.getvalue().decode()
    assert "NanumGothic" in file.getvalue().decode()
    assert figure._repr_png_()


@pytest.mark.parametrize(
    ("family", "weights"),
    [
        ("UnDotum", [400]),
        ("PingFang SC", [300]),
        ("Yu Gothic", ["normal", 600]),
        ("Hiragino Sans", [350, 900]),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_font_without_regular_or_bold_letters_is_used_without_a_word(tmp_path, caplog, family, weights):
    for weight in weights:
        file = str(tmp_path / f"{weight}.ttf")
        make_font(file, family, "고양이")
        font_manager.fontManager.ttflist.append(
            font_manager.FontEntry(file, name=family, weight=weight, size="scalable")
        )
    drawn = page("고양이")
    assert drawn.texts[0].text == "고양이"
    drawn.composed()
    assert feature_figure(drawn)._repr_png_()
    assert not caplog.records


def test_without_a_font_there_are_question_marks_and_no_warning(installed):
    drawn = page("고양이")
    assert drawn.texts[0].text == "???"
    drawn.composed()
    assert feature_figure(drawn)._repr_png_()  # a glyph that is missing is a warning, and here an error


def test_letters_come_together_from_their_parts(installed, tmp_path):
    """Check decomposed file names, as macOS stores them: ㄱ, ㅗ as two characters."""
    make_font(tmp_path / "nanum.ttf", "NanumGothic", "고")
    installed.append(str(tmp_path / "nanum.ttf"))
    assert text.printable("\u1100\u1169") == "고"
