"""Hostile image files: each is an error message or an image, within the promised memory."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fmwidget.images.loading import load_images

SECONDS = 60
# The bound of `decode`: memory for one image, beside that of Python, NumPy and Pillow.
PROMISED = 1536  # MiB


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, rows: bytes = b"", kind: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def hostile() -> Iterator[tuple[str, bytes, bool]]:
    """Yield a name, a file, and whether it is an image all the same."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    white = bytes(1 + 3 * 16) * 12
    yield "huge header", png(2**31 - 1, 2**31 - 1), False
    yield "no width", png(0, 5), False
    yield "a wall of 4 GB", png(65_000, 65_000, rows=bytes(100_000)), False
    yield "a line", png(2**24, 1), False
    text = zlib.compress(bytes(100 * 2**20), 9)
    yield "100 MiB of text", png(16, 12, chunk(b"zTXt", b"a\0\0" + text), rows=white), False
    yield "a profile that is none", png(16, 12, chunk(b"iCCP", b"x\0\0" + text), rows=white), False
    yield "a chunk that is longer than the file", png(16, 12, rows=white)[:-20] + b"\xff" * 30, False
    yield "pixels missing", png(16, 12, rows=white[:50]), False
    yield "a JPEG cut short", encoded(small, "JPEG")[:300], False
    jpeg = bytearray(encoded(small, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    yield "a JPEG of 65535 by 65535", bytes(jpeg), False
    yield "a profile of junk", encoded(small, "JPEG", icc_profile=b"junk" * 1000), True
    yield "a profile of junk in TIFF", encoded(small, "TIFF", icc_profile=b"junk" * 1000), True
    yield "EXIF of junk", encoded(small, "JPEG", exif=b"Exif\0\0" + b"\xff" * 500), True
    yield "CMYK", encoded(small.convert("CMYK"), "JPEG"), True
    yield "CMYK in TIFF", encoded(small.convert("CMYK"), "TIFF"), True
    clear = small.quantize(8)
    yield "a palette with transparency", encoded(clear, "PNG", transparency=bytes(range(0, 256, 32))), True
    yield "a GIF with transparency", encoded(clear, "GIF", transparency=2), True
    frames = [small.rotate(angle) for angle in range(0, 360, 30)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        yield f"frames of {kind}", encoded(frames[0], kind, save_all=True, append_images=frames[1:]), True
    gif = bytearray(encoded(small.quantize(8), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    yield "a GIF of 65535 by 65535", bytes(gif), False
    webp = bytearray(encoded(small, "WEBP", lossless=True))
    webp[21:25] = b"\xff\xff\xff\x0f"
    yield "a WebP of 16384 by 16384", bytes(webp), False
    tiff = bytearray(encoded(small, "TIFF"))
    (entries,) = struct.unpack_from("<H", tiff, 8)
    struct.pack_into("<I", tiff, 8 + 2 + 12 * entries, 8)
    yield "a TIFF whose second page is its first", bytes(tiff), True
    yield "nothing but a start", b"\x89PNG\r\n\x1a\n", False
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", False
    yield "a program for PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n", False


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of doubtful metadata and reads on
@pytest.mark.parametrize(
    ("name", "data", "is_image"), [pytest.param(*each, id=each[0]) for each in hostile()]
)
def test_a_hostile_file_is_a_sentence_or_a_picture(name, data, is_image):
    pictures, sentences = load_images({name: data})
    assert bool(pictures) == is_image, sentences
    assert len(sentences) == (not is_image)
    for sentence in sentences:
        assert repr(name) in sentence
        assert "\n" not in sentence
        assert len(sentence) < 600
    for picture in pictures.values():
        assert picture.pixels().shape == (12, 16, 3)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_anywhere_is_a_sentence_or_a_picture(data):
    sound = [each for _, each, is_image in FILES if is_image and len(each) < 20_000]
    file = bytearray(data.draw(st.sampled_from(sound)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file)))
        length = data.draw(st.integers(0, 30))
        file[at : at + length] = data.draw(st.binary(max_size=30))
    pictures, sentences = load_images({"damaged": bytes(file)})
    assert len(pictures) + len(sentences) == 1
    assert not sentences or ("'damaged'" in sentences[0] and "\n" not in sentences[0])


FILES = list(hostile())

MEASURE = """
import io, json, resource, sys
import numpy as np
from PIL import Image
from fmwidget.images.loading import load_images

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

load_images({"a": np.zeros((4, 4, 3), np.uint8)})
load_images({"a": open(sys.argv[1], "rb").read(1000)})  # Pillow's decoders are loaded from now on
before = peak()
pictures, sentences = load_images({"a": sys.argv[1]})
if pictures:
    pictures["a"].pixels()
    pictures["a"].thumbnail()
print(json.dumps([peak() - before, sentences]))
"""


def largest() -> Iterator[tuple[str, str, Image.Image, dict[str, object]]]:
    """Yield the largest images that are read, of the kinds that take most memory."""
    side = 8000
    rgb = Image.new("RGB", (side, side), "teal")
    yield "jpeg", "JPEG", rgb, {"quality": 30}
    yield "cmyk.jpeg", "JPEG", rgb.convert("CMYK"), {"quality": 30}
    yield "turned.jpeg", "JPEG", rgb, {"quality": 30, "exif": turned()}
    yield "png", "PNG", rgb, {"compress_level": 1}
    clear = rgb.convert("RGBA")
    clear.putalpha(100)
    yield "rgba.png", "PNG", clear, {"compress_level": 1}
    yield "tiff", "TIFF", rgb, {"compression": "tiff_deflate"}
    yield "webp", "WEBP", rgb, {"quality": 1, "method": 0}
    yield "gif", "GIF", rgb.quantize(4), {"transparency": 0}
    deep = Image.fromarray(np.zeros((side, side), np.float32))
    yield "float.tiff", "TIFF", deep, {"compression": "tiff_deflate"}


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured in other units elsewhere")
def test_the_largest_pictures_stay_within_the_memory_that_is_promised(tmp_path):
    taken = {}
    for name, kind, image, options in largest():
        path = tmp_path / name
        image.save(path, kind, **options)
        del image
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True, timeout=SECONDS
        )
        taken[name], sentences = json.loads(done.stdout)
        assert sentences == []
    print(f"MiB at the peak: {taken}")  # noqa: T201
    assert max(taken.values()) < PROMISED, taken
