"""Folders of pictures made from a seed, and the fake backbone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from made_pictures import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, one below another folder."""
    made = tmp_path / "pictures"
    (made / "deep").mkdir(parents=True)
    for seed in range(6):
        picture(seed).save(made / f"{seed}.png")
    picture(6).save(made / "deep" / "6.png")
    return made
