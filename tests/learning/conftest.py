"""Makes the writers of hostile archives importable."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in ("concepts", "report", "learning"):
    sys.path.insert(0, str(Path(__file__).parent.parent / _folder))
