"""From what a person names on the command line to a data set: which reader, and what its paths are relative to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dff_onnx.datasets import DataSet, Rule, read_boxes, read_icoseg, read_masks, read_pascal_part, read_voc
from dff_onnx.datasets.dataset import names_held
from dff_onnx.datasets.masks import Missing
from dff_onnx.datasets.paths import is_file, is_folder
from dff_onnx.datasets.voc import voc_folder
from dff_onnx.errors import DatasetError, UsageError


@dataclass(frozen=True, slots=True)
class Opened:
    """A data set that was read.

    Attributes:
        dataset: its groups.
        root: the folder that the paths in results are relative to.
    """

    dataset: DataSet
    root: Path


@dataclass(frozen=True, slots=True)
class VocChoice:
    """Which pictures and boxes of VOC; see `dff_onnx.datasets.read_voc`."""

    split: str | None = None
    year: str = "2007"
    rule: Rule = "class"
    clean: bool = False


def open_masks(root: Path, masks: Path | None, parts: Path | None, groups: Sequence[str], skip: bool) -> Opened:
    """Pictures with masks: an iCoseg-shaped tree, or any folder where `masks` or `parts` says where the masks are.

    Args:
        root: the tree, or the folder of pictures.
        masks: the folder of masks; needed with `parts`.
        parts: the folder of part masks.
        groups: full names, or words that the names hold; empty for all.
        skip: leave out pictures without a mask, where they are an error otherwise.

    Raises:
        DatasetError: when something is missing or malformed.
        UsageError: when there are parts and no masks, or there is no such folder or group.
    """
    missing: Missing = "skip" if skip else "error"
    _check_there("DATASET", root, "a tree with images/ and ground_truth/, or a folder of pictures with --masks")
    _check_there("--masks", masks, "the folder of masks")
    _check_there("--parts", parts, "the folder of part masks")
    if masks is not None:
        return Opened(chosen(read_masks(root, masks, parts, missing), groups), root)
    if parts is not None:
        raise UsageError("--parts: needs --masks too, the folder of whole objects' masks")
    if not (is_folder(root / "images") and is_folder(root / "ground_truth")):
        raise DatasetError(f"{root}: has no folders images and ground_truth; say where the masks are with --masks")
    return Opened(read_icoseg(root, groups or None, missing), root)


def open_boxes(
    root: Path, table: Path | None, masks: Path | None, groups: Sequence[str], skip: bool, voc: VocChoice
) -> Opened:
    """Pictures with boxes: a table, VOC, or masks to fit boxes around.

    Args:
        root: VOC, the folder of pictures, or a tree with masks.
        table: a CSV file of boxes.
        masks, groups, skip: as in `open_masks`.
        voc: which pictures and boxes of VOC.

    Raises:
        DatasetError: as `open_masks`.
        UsageError: when both a table and masks are given, or there is no such path or group.
    """
    if table is not None and masks is not None:
        raise UsageError("give one of --boxes and --masks")
    _check_there("DATASET", root, "VOCdevkit, a tree with masks, or a folder of pictures")
    _check_there("--boxes", table, "a CSV file with image,x0,y0,x1,y1", folder=False)
    if table is not None:
        return Opened(chosen(read_boxes(root, table), groups), root)
    if masks is not None or is_folder(root / "ground_truth"):
        return open_masks(root, masks, None, groups, skip)
    dataset = read_voc(root, voc.split or "trainval", voc.rule, voc.year, voc.clean)
    return Opened(chosen(dataset, groups), voc_folder(root, voc.year))


def open_parts(
    root: Path,
    annotations: Path | None,
    mapping: Path | None,
    masks: Path | None,
    parts: Path | None,
    groups: Sequence[str],
    skip: bool,
    voc: VocChoice,
) -> Opened:
    """Pictures with parts: PASCAL-Part over VOC 2010 where `annotations` are given, else masks.

    Args:
        root: VOC 2010, the folder of pictures, or an iCoseg-shaped tree with `parts`.
        annotations: the folder `Annotations_Part`, or the one that holds it.
        mapping: which of PASCAL-Part's parts become one; None: the table that is shipped.
        masks, parts, groups, skip: as in `open_masks`.
        voc: which pictures and objects of PASCAL-Part.

    Raises:
        DatasetError: when something is missing or malformed.
        UsageError: when both annotations and masks are given, or there is no such path or group.
    """
    if annotations is None:
        return open_masks(root, masks, parts, groups, skip)
    if masks is not None or parts is not None:
        raise UsageError("give one of --annotations and --masks, --parts")
    _check_there("DATASET", root, "the VOCdevkit of VOC 2010")
    _check_there("--annotations", annotations, "PASCAL-Part's Annotations_Part")
    _check_there("--part-names", mapping, "a TOML or JSON file of names", folder=False)
    dataset = read_pascal_part(root, annotations, mapping, voc.split, voc.rule, voc.clean)
    return Opened(chosen(dataset, groups), voc_folder(root, "2010"))


def chosen(dataset: DataSet, words: Sequence[str]) -> DataSet:
    """Some groups of a data set: those of a full name, else those whose names hold a word, cases apart.

    Raises:
        UsageError: when a word fits none.
    """
    if not words:
        return dataset
    kept = names_held([group.name for group in dataset.groups], words)
    return replace(dataset, groups=tuple(group for group in dataset.groups if group.name in kept))


def _check_there(option: str, path: Path | None, what: str, folder: bool = True) -> None:
    """Raises `UsageError` for a path on the command line where nothing is."""
    if path is not None and not (is_folder(path) if folder else is_file(path)):
        kind = "folder" if folder else "file"
        raise UsageError(f"{option} {path}: there is no such {kind}; give {what}")
