"""The pictures and the fake backbone of the runs' tests, for runs on a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "runs"))
sys.path.insert(0, str(Path(__file__).parent))
from made_pictures import picture


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Twenty pictures, two that cannot be used among them."""
    made = tmp_path / "many"
    made.mkdir()
    for seed in range(18):
        picture(seed).save(made / f"{seed:02}.png")
    (made / "05a.png").write_bytes(b"no picture")
    (made / "99.png").write_bytes(b"")
    return made
