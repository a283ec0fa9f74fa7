"""Uploads in Chromium: the bytes sent, one at a time, and the messages to the user; then in JupyterLab."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fmwidget.frontend.thumbnail_picker import ThumbnailPicker
from fmwidget.frontend.uploader import Uploader, parse_upload
from tests.browser.page import show

HOSTILE = '<img src=x onerror="window.hacked = true">'


def encoded(pixels, kind="png", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def noise(width, height, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def small(color=(200, 30, 30)):
    return encoded(np.full((30, 40, 3), color, np.uint8))


def file(name, data, kind="image/png"):
    return {"name": name, "mimeType": kind, "buffer": data}


class Kernel:
    """A page that shows an uploader, and the kernel's end of it, played by the test."""

    def __init__(self, page, **traits):
        self.page = page
        self.shown = show(page, Uploader(lambda _name, _data: None, **traits), "width: 848px")
        self.shown.evaluate(
            "void (model.uploads = [], model.send = (content, callbacks, buffers) =>"
            " model.uploads.push({ content: structuredClone(content), data: new Uint8Array(buffers[0]) }))"
        )
        self.status = page.get_by_role("status")
        self.problems = self.status.locator("li")

    def add(self, *files):
        self.page.locator("input[type=file]").set_input_files(list(files))

    def upload(self, index):
        """Return the upload that is sent as number `index`, as Python reads it."""
        self.page.wait_for_function("(index) => models.at(-1).uploads.length > index", arg=index)
        content, data = self.shown.evaluate(
            "(({ content, data }) => [content, btoa(data.reduce("
            "    (text, byte) => text + String.fromCharCode(byte), ''))])(model.uploads[argument])",
            index,
        )
        upload = parse_upload(content, [base64.b64decode(data)])
        assert upload is not None
        return upload

    def answer(self, upload, error="", **other):
        content = {"type": "answer", "id": upload.id, "error": error} | other
        self.shown.evaluate(
            "model.listeners.filter(({ event }) => event === 'msg:custom')"
            ".forEach(({ listener }) => listener(argument))",
            content,
        )

    def count(self):
        return self.shown.evaluate("model.uploads.length")


# ---------------------------------------------------------------- what is sent


def test_a_large_photograph_is_shrunk_turned_upright_and_stays_small_enough(page):
    pixels = noise(3000, 2000)
    pixels[:, :1500] = 0  # the left half is black; turned, it is the upper
    exif = Image.Exif()
    exif[0x0112] = 6
    kernel = Kernel(page)
    kernel.add(file("IMG_1.JPG", encoded(pixels, "jpeg", quality=95, exif=exif), "image/jpeg"))
    upload = kernel.upload(0)
    assert upload.name == "IMG_1"
    assert len(upload.data) < 4_000_000
    image = Image.open(io.BytesIO(upload.data))
    assert (image.format, image.size) == ("JPEG", (1365, 2048))
    grey = np.asarray(image.convert("L"), float)
    assert grey[:1000].mean() < 3
    assert grey[1050:].mean() > 100
    assert grey[1050:].std() < 45, "averaged, not sampled: the noise itself has 50"


def test_small_files_are_sent_as_they_are(page):
    kernel = Kernel(page)
    files = [
        file("a.png", small()),
        file("b.jpg", encoded(noise(300, 200), "jpeg"), "image/jpeg"),
        file("c.webp", encoded(noise(30, 20), "webp", lossless=True), "image/webp"),
        file("misnamed.jpg", small((0, 0, 9)), "image/jpeg"),
    ]
    kernel.add(*files)
    for index, each in enumerate(files):
        upload = kernel.upload(index)
        assert upload.data == each["buffer"]
        kernel.answer(upload)


def test_transparency_survives_or_is_laid_on_white_where_the_file_would_be_too_large(page):
    plain = np.full((1500, 3000, 4), (250, 0, 0, 255), np.uint8)
    plain[:, :1500, 3] = 0
    busy = noise(2100, 1500, 4)
    busy[:, :1050, 3] = 0
    kernel = Kernel(page)
    kernel.add(*(file(f"{n}.png", encoded(each, compress_level=1)) for n, each in enumerate((plain, busy))))
    first = kernel.upload(0)
    image = Image.open(io.BytesIO(first.data))
    assert (image.format, image.size, image.mode) == ("PNG", (2048, 1024), "RGBA")
    assert np.asarray(image)[500, 100, 3] == 0
    assert np.asarray(image)[500, 2000].tolist() == [250, 0, 0, 255]
    kernel.answer(first)
    second = kernel.upload(1)
    image = Image.open(io.BytesIO(second.data))
    assert (image.format, image.width) == ("JPEG", 2048)
    assert np.asarray(image)[:, :1000].mean() > 250
    assert len(second.data) < 4_000_000


# ---------------------------------------------------------------- one at a time


def test_one_is_sent_at_a_time_in_order_and_progress_is_told(page):
    kernel = Kernel(page)
    expect(kernel.status).to_have_text("")
    kernel.add(*(file(f"{name}.png", small()) for name in "abc"))
    for index, name in enumerate("abc"):
        upload = kernel.upload(index)
        assert upload.name == name
        expect(kernel.status).to_have_text(f"Adding {index + 1} of {4 if index else 3}: {name}.png …")
        kernel.answer(upload, id="another view's")
        page.wait_for_timeout(100)
        assert kernel.count() == index + 1, "sent before the answer"
        if index == 0:
            kernel.add(file("d.png", small()))  # while others wait
        kernel.answer(upload)
    kernel.answer(kernel.upload(3))
    expect(kernel.status).to_have_text("Added 4 pictures.")


def test_each_failure_is_told_in_a_sentence_and_the_rest_goes_on(page):
    kernel = Kernel(page)
    kernel.add(
        file("notes.txt", b"hello there", "text/plain"),
        file("none.png", b""),
        file("broken.png", small()[:40]),
        file("refused.png", small()),
        file("good.png", small()),
    )
    kernel.answer(kernel.upload(0), f"{HOSTILE} is damaged.")
    kernel.answer(kernel.upload(1))
    expect(kernel.problems).to_have_text(
        [
            "'notes.txt' is not a picture that this browser can read: save it as PNG or JPEG.",
            "'none.png' is empty (0 bytes), or a folder.",
            "'broken.png' is damaged, or too large for this browser to decode.",
            f"{HOSTILE} is damaged.",
        ]
    )
    expect(kernel.status).to_contain_text("Added 1 of 5 pictures.")
    assert not page.evaluate("window.hacked")
    kernel.add(file("good.png", small()))
    kernel.answer(kernel.upload(2))
    expect(kernel.status).to_have_text("Added 1 picture.")


def test_a_file_of_more_than_100_mb_is_refused_unread(page):
    kernel = Kernel(page)
    drop(page, "new File([new ArrayBuffer(1e6 * 101)], 'huge.png', { type: 'image/png' })")
    expect(kernel.status).to_have_text("No picture was added.'huge.png' has 101 MB; at most 100 MB are read.")


def test_no_more_are_taken_than_there_is_room_for(page):
    kernel = Kernel(page, room=3)
    kernel.add(*(file(f"{name}.png", small()) for name in "ab"))
    kernel.upload(0)
    kernel.add(*(file(f"{name}.png", small()) for name in "cdefg"))
    expect(kernel.problems).to_have_text("4 pictures left out: only 1 more can be added.")
    for index in range(3):
        kernel.answer(kernel.upload(index))
    expect(kernel.status).to_contain_text("Added 3 pictures.")
    kernel.shown.update(room=0)
    kernel.add(file("h.png", small()))
    expect(kernel.status).to_have_text("1 picture left out: no more can be added.")
    assert kernel.count() == 3


def test_a_kernel_that_does_not_answer_is_told_of_and_later_uploads_work(page):
    page.clock.install()
    kernel = Kernel(page)
    kernel.add(*(file(f"{name}.png", small()) for name in "abc"))
    late = kernel.upload(0)
    page.clock.run_for(61_000)
    expect(kernel.problems).to_have_text(
        [
            "2 pictures not sent: the kernel does not answer.",
            "'a.png' was sent, but the kernel has not answered: is it busy, or gone?",
        ]
    )
    kernel.answer(late)
    kernel.add(file("d.png", small()))
    kernel.answer(kernel.upload(1))
    expect(kernel.status).to_have_text("Added 1 picture.")


# ---------------------------------------------------------------- the ways to add


def drop(page, files, target=".fmw-upload", kinds=("dragenter", "dragover", "drop")):
    """Drop files, given as JavaScript, and return the outcome of each event."""
    return page.evaluate(
        f"""([target, kinds]) => {{
            const data = new DataTransfer();
            for (const file of [{files}]) data.items.add(file);
            return kinds.map((type) => !document.querySelector(target).dispatchEvent(new DragEvent(type,
                {{ dataTransfer: data, bubbles: true, cancelable: true }})));
        }}""",
        [target, list(kinds)],
    )


def in_page(name, data):
    encoded_data = base64.b64encode(data).decode()
    bytes_ = f"Uint8Array.from(atob('{encoded_data}'), (letter) => letter.charCodeAt(0))"
    return f"new File([{bytes_}], '{name}', {{ type: 'image/png' }})"


def test_pictures_are_dropped_on_the_row_and_nowhere_else(page):
    kernel = Kernel(page)
    page.evaluate("document.body.append(Object.assign(document.createElement('p'), { id: 'else' }))")
    assert drop(page, in_page("a.png", small()), "#else") == [False] * 3
    assert drop(page, "", kinds=["dragover"]) == [False], "text that is dragged is not ours"
    assert drop(page, in_page("a.png", small()), kinds=["dragenter", "dragover"]) == [True] * 2
    expect(page.locator(".fmw-dropping")).to_have_count(1)
    drop(page, in_page("a.png", small()), kinds=["dragleave"])
    expect(page.locator(".fmw-dropping")).to_have_count(0)
    both = f"{in_page('a.png', small())}, {in_page('b.png', small())}"
    assert drop(page, both) == [True] * 3
    kernel.answer(kernel.upload(0))
    kernel.answer(kernel.upload(1))
    expect(kernel.status).to_have_text("Added 2 pictures.")
    expect(page.locator(".fmw-dropping")).to_have_count(0)


def test_pictures_are_pasted_where_the_focus_is_and_text_is_left_alone(page):
    kernel = Kernel(page)
    paste = """([target, files]) => {
        const data = new DataTransfer();
        for (const file of eval(files)) data.items.add(file);
        data.setData("text/plain", "text");
        return !document.querySelector(target).dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    picture = f"[{in_page('image.png', small())}]"
    assert not page.evaluate(paste, ["body", picture]), "the focus is elsewhere"
    page.get_by_role("button", name="Add pictures").focus()
    assert not page.evaluate(paste, ["body", "[]"])
    assert page.evaluate(paste, ["body", picture])
    upload = kernel.upload(0)
    assert upload.name == "pasted picture"
    assert upload.data == small()


def test_the_button_is_reached_and_used_with_the_keyboard(page):
    kernel = Kernel(page)
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Add pictures")
    expect(button).to_be_focused()
    assert button.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    page.evaluate(
        """() => {
            window.asked = 0; // for files, where the dialog would open
            document.querySelector("input").addEventListener("click", (event) => {
                event.preventDefault();
                window.asked += 1;
            });
        }"""
    )
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    page.wait_for_function("asked === 2")
    assert page.locator("input").evaluate("(input) => input.multiple")
    kernel.add(file("a.png", small()))
    kernel.answer(kernel.upload(0))
    expect(kernel.status).to_have_text("Added 1 picture.")
    assert page.locator("input").input_value() == "", "or the same file could not be chosen again"


def test_an_uploader_that_is_removed_gives_everything_back_and_sends_nothing_more(page):
    kernel = Kernel(page)
    kernel.add(*(file(f"{name}.png", small()) for name in "ab"))
    upload = kernel.upload(0)
    kernel.shown.remove()
    kernel.answer(upload)
    drop(page, in_page("c.png", small()), "#output")
    page.wait_for_timeout(200)
    assert kernel.count() == 1
    assert kernel.shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}
    assert page.locator("#output").inner_text() == ""


def test_thumbnails_that_stay_are_not_drawn_again(page):
    names, thumbs = ["a", "b"], [small(), small((0, 200, 0))]
    picker = ThumbnailPicker(names=names, thumbs=thumbs, value=0)
    shown = show(page, picker, "width: 848px")
    expect(page.get_by_role("radio")).to_have_count(2)
    page.get_by_role("radio").first.focus()
    page.evaluate("window.kept = [...document.querySelectorAll('.fmw-thumbnail')]")
    shown.update(names=[*names, "c"], thumbs=[*thumbs, small((0, 0, 200))], value=2)
    expect(page.get_by_role("radio")).to_have_count(3)
    expect(page.get_by_role("radio", name="c")).to_be_checked()
    kept = "kept.map((button) => button.isConnected && button.querySelector('img').naturalWidth > 0)"
    assert page.evaluate(kept) == [True, True]
    expect(page.get_by_role("radio").first).to_be_focused()
    # The same name, but another image.
    shown.update(names=[*names, "c"], thumbs=[thumbs[0], small((9, 9, 9)), small((0, 0, 200))])
    page.wait_for_function("!kept[1].isConnected")
    assert page.evaluate("kept[0].isConnected && document.querySelectorAll('.fmw-thumbnail').length === 3")
    shown.remove()
    assert shown.left_over() == {"listeners": 0, "urls": 0, "observers": 0}


# ---------------------------------------------------------------- in JupyterLab

WIDGET = """
import keras
from fmwidget import FeatureMapWidget
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((60, 60, 3)), keras.layers.Conv2D(4, 3, name="conv")])
widget = FeatureMapWidget(model)
widget
"""
# Thumbnails that were taken away, and frames in which one was blank.
WATCH = """() => {
    const row = document.querySelector(".fmw-thumbnails");
    window.flicker = { removed: 0, blank: 0, frames: 0 };
    new MutationObserver((changes) => {
        for (const { removedNodes } of changes) flicker.removed += removedNodes.length;
    }).observe(row, { childList: true });
    (function sample() {
        flicker.frames += 1;
        flicker.blank += [...row.querySelectorAll("img")].filter((image) => !image.naturalWidth).length;
        requestAnimationFrame(sample);
    })();
}"""


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_two_large_photographs_then_a_small_one_then_one_pasted(page, open_notebook, scheme):
    page.emulate_media(color_scheme=scheme)
    notebook = open_notebook([WIDGET, "print(widget.images[-3:], widget.image)", "print(widget.image)"])
    notebook.run_cell(0)
    root = page.locator(".fmwidget")
    thumbnails = root.get_by_role("radio")
    expect(thumbnails.first).to_be_visible()
    before = thumbnails.count()
    page.evaluate(WATCH)
    photographs = [encoded(noise(2700, 2025, seed=seed), "jpeg", quality=95) for seed in (1, 2)]
    assert all(6_000_000 < len(each) < 9_000_000 for each in photographs), [len(each) for each in photographs]
    status = root.locator(".fmw-upload-status")
    root.locator("input[type=file]").set_input_files(
        [file(f"photograph {n}.jpg", each, "image/jpeg") for n, each in enumerate(photographs, 1)]
    )
    expect(status).to_have_text("Added 2 pictures.", timeout=30_000)
    root.locator("input[type=file]").set_input_files(
        [file("small.png", small()), file("notes.txt", b"hello", "text/plain")]
    )
    expect(status).to_contain_text("Added 1 of 2 pictures.")
    expect(thumbnails).to_have_count(before + 3)
    expect(root.get_by_role("radio", name="small")).to_be_checked()
    expect(root.get_by_label("Feature maps of the layer").locator("img")).to_be_visible()
    page.evaluate("document.querySelector('.fmw-pictures').classList.add('fmw-dropping')")
    notebook.screenshot(f"upload-{scheme}")
    page.evaluate("document.querySelector('.fmw-pictures').classList.remove('fmw-dropping')")
    notebook.run_cell(1)
    assert notebook.output(1).inner_text().strip() == "('photograph 1', 'photograph 2', 'small') small"

    drop(page, in_page("dropped.png", small((0, 9, 200))), ".fmw-thumbnails")
    expect(root.get_by_role("radio", name="dropped")).to_be_checked()

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = (
        f"navigator.clipboard.write([new ClipboardItem({{'image/png': {in_page('a', small((9, 99, 9)))}}})])"
    )
    root.get_by_role("radio", name="small").click()
    page.evaluate(copy)
    page.keyboard.press("Control+v")
    expect(root.get_by_role("radio", name="pasted picture")).to_be_checked()
    notebook.run_cell(2)
    assert notebook.output(2).inner_text().strip() == "pasted picture"

    flicker = page.evaluate("flicker")
    assert flicker["frames"] > 10
    assert (flicker["removed"], flicker["blank"]) == (0, 0)
    notebook.check_no_complaints()
