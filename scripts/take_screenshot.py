"""Take the README's screenshot: JupyterLab in Chromium, the sample model, a filter that responds to eyes.

```console
.venv/bin/python -m scripts.take_screenshot
```
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.chromium import find_chromium
from tests.browser.jupyterlab import running_jupyterlab

TARGET = Path(__file__).parents[1] / "docs" / "screenshot.png"
CELL = """
from fmwidget import FeatureMapWidget, sample_class_names, sample_model
FeatureMapWidget(
    sample_model(), class_names=sample_class_names(), layer="conv2d_1", channel=9, opacity=60, profile=True
)
"""


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_jupyterlab(Path(folder) / "lab") as lab,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1900})
        lab.open(page, [CELL]).run_all()
        widget = page.locator(".fmwidget")
        widget.locator("img").first.wait_for()
        page.wait_for_timeout(2000)  # until the widget has followed the page's width
        png = widget.screenshot()
        browser.close()
    # A palette makes it a third as large.
    screenshot = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    screenshot.save(TARGET, optimize=True)
    print(f"{TARGET}: {screenshot.width} × {screenshot.height} pixels, {TARGET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
