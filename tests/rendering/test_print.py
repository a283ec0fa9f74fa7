"""Figures for print: their files, as other programs read them, against the model's own maps."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ET
from typing import Any

import keras
import matplotlib as mpl
import numpy as np
import pypdf
import pytest
from PIL import Image

from fmwidget import FeatureMapWidget, plot_depth_profile

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
SIDE = 148  # values; on screen a tile has a third as many pixels


@pytest.fixture(scope="module")
def widget():
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input((SIDE + 2, SIDE + 2, 3)), keras.layers.Conv2D(16, 3, name="a<b>&c"), keras.layers.ReLU()]
    )
    picture = np.random.default_rng(0).integers(0, 256, (SIDE + 2, SIDE + 2, 3), np.uint8)
    widget = FeatureMapWidget(model, {"noise": picture}, norm="channel", cmap="gray", channel=5)
    yield widget
    widget.close()


@pytest.fixture(scope="module")
def maps(widget):
    picture = widget._pipeline.offer.images["noise"].pixels()
    layer = widget._am.model.layers[0]
    return np.asarray(layer(picture[np.newaxis].astype(np.float32) / 255)[0])


def saved(widget: FeatureMapWidget, suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    widget.savefig(file, format=suffix, **options)
    return file.getvalue()


def image_in_svg(content: bytes) -> Image.Image:
    (image,) = ET.fromstring(content).iter(f"{SVG}image")  # noqa: S314 - our own file
    assert "pixelated" in image.get("style", "")
    picture = Image.open(io.BytesIO(base64.b64decode(image.get(HREF, "").split(",")[1])))
    # The image may be stored upside down, and turned by its transform.
    flipped = float(image.get("transform", "matrix(1 0 0 1 0 0)").split("(")[1].split()[3].rstrip(")")) < 0
    return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if flipped else picture


def image_in_pdf(content: bytes) -> Image.Image:
    (image,) = pypdf.PdfReader(io.BytesIO(content)).pages[0].images
    assert b"/Interpolate" not in content  # which would make viewers blur it
    assert image.image is not None
    return image.image


DECODERS = {"png": lambda content: Image.open(io.BytesIO(content)), "svg": image_in_svg, "pdf": image_in_pdf}


@pytest.mark.parametrize("suffix", list(DECODERS))
def test_every_value_of_a_map_is_in_the_file_once(widget, maps, suffix):
    picture = np.asarray(DECODERS[suffix](saved(widget, suffix)).convert("RGB")).astype(int)
    layout = widget._screen.frame.layout
    assert picture.shape[:2] == (3 * layout.height, 3 * layout.width)
    for channel in range(16):
        left, top, _, _ = (3 * edge for edge in layout.tile_box(channel))
        tile = picture[top : top + SIDE, left : left + SIDE]
        assert (tile == tile[..., :1]).all()
        one = maps[..., channel].astype(float)
        expected = (one - one.min()) / (one.max() - one.min()) * 255
        inside = np.s_[3:-3, 3:-3]  # the chosen tile's frame touches its edge
        assert np.abs(tile[..., 0] - expected)[inside].max() <= 2.5


def test_text_in_an_svg_is_text(widget):
    texts = ["".join(each.itertext()) for each in ET.fromstring(saved(widget, "svg")).iter(f"{SVG}text")]  # noqa: S314
    assert texts[0] == "a<b>&c"
    assert set(map(str, range(16))) <= set(texts)
    assert b"sans-serif" in saved(widget, "svg")


def test_text_in_a_pdf_is_text_in_fonts_that_are_embedded_whole(widget):
    (page,) = pypdf.PdfReader(io.BytesIO(saved(widget, "pdf"))).pages
    assert "a<b>&c" in page.extract_text()
    fonts: Any = page["/Resources"]["/Font"]  # type: ignore[index]
    kinds = {str(font.get_object()["/Subtype"]) for font in fonts.values()}
    assert kinds
    assert "/Type3" not in kinds


def test_a_png_has_its_resolution_and_pixels(widget):
    for dpi, ratio in {96: 1, 192: 2, 288: 3}.items():
        picture = Image.open(io.BytesIO(saved(widget, "png", dpi=dpi)))
        layout = widget._screen.frame.layout
        assert picture.size == (layout.width * ratio, layout.height * ratio)
        assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=1)
    odd = Image.open(io.BytesIO(saved(widget, "png", dpi=300)))
    assert odd.size[0] == pytest.approx(layout.width * 300 / 96, abs=1)


def test_a_resolution_beyond_memory_is_drawn_in_larger_pixels(widget, maps):
    svg = image_in_svg(saved(widget, "svg", dpi=96_000))
    assert svg.width * svg.height <= 2**25


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_of_either_kind_and_metadata_are_taken(widget, tmp_path, kind):
    path = tmp_path / "maps.pdf"
    widget.savefig(kind(path), metadata={"Title": "한글 제목"})
    metadata = pypdf.PdfReader(path).metadata
    assert metadata is not None
    assert metadata.title == "한글 제목"


def test_an_unknown_suffix_is_refused_with_those_that_are_known(widget, tmp_path):
    with pytest.raises(ValueError, match="png"):
        widget.savefig(tmp_path / "maps.docx")


def test_the_settings_of_other_figures_stay(widget):
    with mpl.rc_context({"svg.fonttype": "path", "pdf.fonttype": 3}):
        before = dict(mpl.rcParams)
        saved(widget, "pdf")
        with pytest.raises(ValueError, match="nonsense"):
            saved(widget, "nonsense")
        assert dict(mpl.rcParams) == before


def test_a_profile_is_saved_the_same_way(widget):
    file = io.BytesIO()
    plot_depth_profile(widget._am, widget._pipeline.offer.images["noise"].pixels()).savefig(
        file, format="pdf"
    )
    (page,) = pypdf.PdfReader(file).pages
    assert "inactive channels" in page.extract_text()
