"""Makes the helpers of this folder, and those of the networks and banks, importable."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in (".", "../backbone", "../concepts"):
    sys.path.insert(0, str((Path(__file__).parent / _folder).resolve()))
