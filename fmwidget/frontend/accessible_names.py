"""Names for assistive technology where ipywidgets leaves controls without one."""

from __future__ import annotations

from .base import FrontEndWidget
from .bundle import joined, sent


class AccessibleNames(FrontEndWidget):
    """Put into a widget, it has the browser name the sliders and arrow buttons there; it is not seen."""

    _esm = sent(joined("naming.js"))
