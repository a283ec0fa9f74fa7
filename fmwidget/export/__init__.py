"""Files and notebook outputs that outlive the kernel.

May import all packages up to `frontend`.
"""

from __future__ import annotations
