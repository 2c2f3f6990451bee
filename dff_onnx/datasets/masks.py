"""A folder of pictures beside a folder of masks with the same names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dff_onnx.datasets.dataset import Annotated, DataSet, Group, PartSource, counted
from dff_onnx.datasets.mask_files import MaskFile, NumberedParts, PartFolder, read_legend
from dff_onnx.datasets.paths import is_file, is_folder, needed_folder, pictures_below
from dff_onnx.errors import DatasetError, UsageError

Missing = Literal["error", "skip"]


def read_masks(
    pictures: str | Path, masks: str | Path, parts: str | Path | None = None, missing: Missing = "error"
) -> DataSet:
    """Reads pictures `G/P.jpg` with masks `G/P.png`; each subfolder `G` is a group.

    Pictures that are in no subfolder form a group named after the folder. Deeper folders belong to their group.

    Args:
        pictures: the folder of pictures, of any format this program reads.
        masks: the folder of masks, PNG files as `MaskFile` describes them.
        parts: a folder of part masks: `G/P/head.png`, or `G/P.png` with its numbers named in `G/parts.json`.
        missing: what to do about a picture without mask: refuse the set, or leave the picture out and say so.

    Raises:
        DatasetError: when a folder or mask is missing, or two pictures share a mask.
        UsageError: when `missing` is no such word.
    """
    return read_paired(Path(pictures), Path(masks), Path(parts) if parts else None, missing, None)


def read_paired(
    pictures: Path, masks: Path, parts: Path | None, missing: Missing, groups: Collection[str] | None
) -> DataSet:
    """`read_masks` of some groups; all where `groups` is None."""
    if missing not in get_args(Missing):
        raise UsageError(f"missing is {missing!r}, and one of {', '.join(get_args(Missing))} is needed")
    needed_folder(masks, "the folder of masks")
    pairing = _Pairing(pictures, masks, parts and needed_folder(parts, "the folder of part masks"), missing)
    found: dict[str, list[Annotated]] = {}
    for path in pictures_below(pictures):
        group = path.parts[0] if len(path.parts) > 1 else pictures.resolve().name
        if groups is None or group in groups:
            found.setdefault(group, []).extend(pairing.annotated(path))
    filled = tuple(Group(name, tuple(members)) for name, members in found.items() if members)
    if not filled:
        raise DatasetError(f"{masks}: holds no mask for any picture of {pictures}; give masks with the pictures' names")
    return DataSet(pictures.resolve().name, filled, tuple(pairing.notes()))


@dataclass
class _Pairing:
    """Finds the mask of each picture and keeps count of those without."""

    pictures: Path
    masks: Path
    parts: Path | None
    missing: Missing
    left_out: int = 0
    owners: dict[Path, Path] = field(default_factory=dict)
    legends: dict[Path, dict[int, str]] = field(default_factory=dict)

    def annotated(self, path: Path) -> list[Annotated]:
        """The picture with its mask; nothing where it has none and may be left out."""
        name = path.with_suffix(".png")
        mask = self.masks / name
        other = self.owners.setdefault(name, path)
        if other != path:
            raise DatasetError(f"{self.pictures}: {path} and {other} would share the mask {mask}; rename one of them")
        if is_file(mask):
            return [Annotated(self.pictures / path, mask=MaskFile(mask), parts=self._parts_of(path))]
        if self.missing == "error":
            raise DatasetError(
                f"{mask}: there is no such mask, and the picture {self.pictures / path} needs one; add it, or leave "
                "such pictures out with --skip-missing"
            )
        self.left_out += 1
        return []

    def _parts_of(self, path: Path) -> PartSource | None:
        if self.parts is None:
            return None
        folder, numbered = self.parts / path.with_suffix(""), self.parts / path.with_suffix(".png")
        if is_folder(folder):
            return PartFolder(folder)
        group = self.parts / path.parts[0] if len(path.parts) > 1 else self.parts
        return NumberedParts(numbered, self._legend(group / "parts.json")) if is_file(numbered) else None

    def _legend(self, path: Path) -> dict[int, str]:
        """The names of a group's parts, read once."""
        if path not in self.legends:
            self.legends[path] = read_legend(path)
        return self.legends[path]

    def notes(self) -> list[str]:
        """What the user should know."""
        if not self.left_out:
            return []
        return [f"{counted(self.left_out, 'picture')} without a mask in {self.masks}: left out"]
