"""Scripts and style sheets of the browser's side, and the anywidget classes that send them.

May import all packages up to `rendering`, and `pipeline`.
"""

from __future__ import annotations
