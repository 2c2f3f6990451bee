"""iCoseg (Batra et al., CVPR 2010): 38 groups of pictures that show the same thing, each with its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dff_onnx.datasets.dataset import DataSet, names_held
from dff_onnx.datasets.masks import Missing, read_paired
from dff_onnx.datasets.paths import is_folder, needed_folder, pictures_below


def read_icoseg(root: str | Path, groups: Sequence[str] | None = None, missing: Missing = "error") -> DataSet:
    """Reads `images/<group>/*.jpg`, `ground_truth/<group>/*.png` and, where it is there, `parts/`.

    iCoseg itself has no part masks; those that the DFF paper speaks of are lost. `parts/<group>/<picture>/<part>.png`
    or `parts/<group>/<picture>.png` with `parts/<group>/parts.json` (`{"1": "head"}`) are read where somebody made
    them.

    Args:
        root: the folder that holds `images` and `ground_truth`.
        groups: which to read: full names, or words that the names hold (`elephants`), cases apart; None: all.
        missing: what to do about a picture without mask: refuse the set, or leave the picture out and say so.

    Raises:
        DatasetError: when a folder or mask is missing.
        UsageError: when there is no such group, or `missing` is no such word.
    """
    root = needed_folder(root, "the folder that holds images/ and ground_truth/")
    images, parts = root / "images", root / "parts"
    chosen = None if groups is None else _chosen(images, groups)
    found = read_paired(images, root / "ground_truth", parts if is_folder(parts) else None, missing, chosen)
    return replace(found, name="iCoseg")


def _chosen(images: Path, wanted: Sequence[str]) -> set[str]:
    """The full names of the groups that are wanted."""
    names = {path.parts[0] for path in pictures_below(images) if len(path.parts) > 1}
    return names_held(names, wanted)
