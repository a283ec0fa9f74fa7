"""Pictures to show and measurements of the page, shared by the tests of the front-end pieces."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fmwidget.frontend.messages import parse_message
from fmwidget.frontend.picture_view import PictureView

if TYPE_CHECKING:
    from tests.browser.page import Shown


HOSTILE = '<img src=x onerror="window.hacked = true"> \u202eevil\u202c &amp; "quoted"'


def png(width=64, height=48, color=(200, 30, 30)):
    """Encode a picture of one colour."""
    return encoded(np.full((height, width, 3), color, np.uint8))


def noise(width, height, seed=0):
    """Encode a picture in which no two neighbours are alike, so that any resampling is visible."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def pixels_of(screenshot):
    return np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB"))


def view_of(data=None, width=400, height=300, **traits):
    """Build a picture view with a callback for every event."""
    view = PictureView(png=data or png(width, height), width=width, height=height, **traits)
    view.on_click(lambda _x, _y: None)
    view.on_tile(lambda _tile: None)
    view.on_nudge(lambda _rows, _columns: None)
    view.on_open(lambda _tile: None)
    view.on_display(lambda _display: None)
    return view


def messages(shown: Shown, kind: str) -> list[Any]:
    """Return the front end's messages of one type, as Python reads them."""
    return [parse_message(content) for content in shown.sent if content["type"] == kind]


def wait_for_picture(shown: Shown, width: int) -> None:
    shown.page.wait_for_function(
        "width => [...document.querySelectorAll('.fmw-figure')].every("
        "  (figure) => figure.querySelector('img')?.naturalWidth === width)",
        arg=width,
    )


class Finger:
    """A finger on the screen, by Chromium's own emulation."""

    def __init__(self, page) -> None:
        self.session = page.context.new_cdp_session(page)

    def down(self, *points):
        self._send("touchStart", *_pairs(points))

    def move(self, *points):
        self._send("touchMove", *_pairs(points))

    def up(self):
        self._send("touchEnd")

    def _send(self, kind, *points):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def _pairs(numbers):
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def hovers(shown: Shown) -> list[tuple[float, float] | None]:
    """Return the hovered positions, `None` where the pointer left, to half a pixel."""
    points = [hover.point for hover in messages(shown, "hover")]
    return [point and (round(point.x), round(point.y)) for point in points]


def hold_decoding(page):
    """Delay loading and decoding of pictures until the test calls the functions in the page's `held`."""
    page.evaluate("""() => {
        window.held = [];
        const { decode } = HTMLImageElement.prototype;
        const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
        Object.defineProperty(HTMLImageElement.prototype, "src", {
            ...source,
            set(url) {
                if (this.decoding === "sync") held.push(() => source.set.call(this, url));
                else source.set.call(this, url);
            },
        });
        HTMLImageElement.prototype.decode = async function () {
            await new Promise((release) => held.push(release));
            return decode.call(this);
        };
    }""")


def box(locator):
    """Return left, top, width and height on the page."""
    bounds = locator.bounding_box()
    return tuple(round(bounds[side], 2) for side in ("x", "y", "width", "height"))


def box_in_picture(shown: Shown):
    """Return the mark's box, relative to the picture's corner."""
    left, top, *_ = box(shown.figure)
    x, y, width, height = box(shown.figure.locator(".fmw-mark"))
    return (x - left, y - top, width, height)


def contrast(one, other):
    """Return the contrast ratio of two sRGB colours, as WCAG 2 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    channels = np.asarray(color) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
