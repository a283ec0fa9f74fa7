"""Names for assistive technology where ipywidgets leaves controls without one."""

from __future__ import annotations

import anywidget

from .frontend import joined


class Naming(anywidget.AnyWidget):
    """Put into a widget, it has the browser name the sliders and arrow buttons there; it is not seen."""

    _esm = joined("naming.js")
