"""Names for assistive technology where ipywidgets leaves controls without one."""

from __future__ import annotations

from .base import FrontEndWidget
from .bundle import bundle, synced_text


class AccessibleNames(FrontEndWidget):
    """An invisible child of a widget: its script names the sliders and arrow buttons of that widget."""

    _esm = synced_text(bundle("accessible_names.js"))
