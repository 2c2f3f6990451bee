"""Makes the fake backbone and the writers of small data sets importable."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in ("datasets", "evaluation", "runs"):
    sys.path.insert(0, str(Path(__file__).parent.parent / _folder))
