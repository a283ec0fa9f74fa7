"""The browser's side: scripts, style sheets, and the anywidget classes that send them.

May import all packages up to `rendering`, and `pipeline`.
"""

from __future__ import annotations
