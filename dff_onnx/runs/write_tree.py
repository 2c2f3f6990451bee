"""`dff-onnx tree`: a folder in; a tree's folder, with each level as a run of its own, out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank, bank_sha256
from dff_onnx.files import write_atomically
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.page.layout import Level
from dff_onnx.report.results import failures_json
from dff_onnx.report.tree_files import level_folder, tree_json
from dff_onnx.report.tree_svg import tree_svg
from dff_onnx.runs.claim import Claim, claimed, identity_of, write_run_file
from dff_onnx.runs.drawing import show_pictures
from dff_onnx.runs.keep import keep_in
from dff_onnx.runs.reporting import Pages, label_command, report_of
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.tree import TreeRun, check_levels, grow_tree
from dff_onnx.runs.tree_tiles import tiles_of
from dff_onnx.runs.write import made_by, maps_of, write

USUAL = 4  # concepts


def run_tree(
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    ks: Sequence[int],
    settings: Settings | None = None,
    *,
    like: Bank | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TreeRun:
    """Grows the tree of a folder's concepts and writes it to `out`: itself, and each level as a run of its own.

    The same call on the same `out` writes the same bytes again; other settings on it are refused.

    Args:
        folder, activations, ks, settings, like, progress: see `grow_tree`.
        out: the tree's folder, made where it is missing.
        overwrite: replace a run of other settings.

    Returns:
        the tree; its pictures have the paths of their overlays, each below the folder of its level.

    Raises:
        UsageError: when `out` belongs to something else, and as `grow_tree`.
        BankError, NoImagesError, ModelError: as `grow_tree`.
        OutputError: when a file cannot be written.
    """
    folder, out, settings = Path(folder), Path(out), settings or Settings()
    check_levels(ks, settings)
    of_tree, of_levels = _identities(folder, activations, ks, settings, like)
    with _claimed(folder, out, of_tree, of_levels, overwrite) as works:
        keep = keep_in(works[0].resume, folder, activations)
        made = grow_tree(folder, activations, ks, settings, like=like, progress=progress, keep=keep)
        for work in works:
            work.settle()
        return _write(made, out, settings, of_tree, of_levels, progress or Silent())


Identity = dict[str, Any]


def _identities(
    folder: Path, activations: Activations, ks: Sequence[int], settings: Settings, like: Bank | None
) -> tuple[Identity, dict[str, Identity]]:
    """Of the tree, and of each level by the name of its folder. A level is not what `run` gives: it is dressed."""

    def identity(of: Settings) -> Identity:
        fields = of.to_dict() | {"levels": list(ks)}
        if like is not None:
            fields["like"] = bank_sha256(like)
        return identity_of(folder, fields, activations.fingerprint)

    whole = identity(settings)
    del whole["settings"]["k"]
    return whole, {level_folder(k): identity(replace(settings, k=k, report="none")) for k in ks}


@contextmanager
def _claimed(
    folder: Path, out: Path, of_tree: Identity, of_levels: dict[str, Identity], overwrite: bool
) -> Iterator[list[Claim]]:
    """The folders of the tree and its levels, given up again where a mistake in between should not take their names."""
    with ExitStack() as homes:
        works = [homes.enter_context(claimed(out, folder, of_tree, overwrite))]
        for name, identity in of_levels.items():
            works.append(homes.enter_context(claimed(out / name, folder, identity, overwrite)))
        yield works


def _write(
    made: TreeRun, out: Path, settings: Settings, of_tree: Identity, of_levels: dict[str, Identity], progress: Progress
) -> TreeRun:
    levels = tuple(
        write(level, out / name, identity, progress)
        for level, (name, identity) in zip(made.levels, of_levels.items(), strict=True)
    )
    made = replace(made, levels=levels)
    found = made.found[0]
    pictures = "1 picture" if len(found.images) == 1 else f"{len(found.images)} pictures"
    title = f"Concepts of {pictures}, and how they split as k grows"
    write_atomically(out / "tree.svg", tree_svg(made.tree, made.found, tiles_of(levels), title))
    write_atomically(out / "failures.json", failures_json(found.failures))
    tables = of_tree | made_by(found)
    _report(made, out, settings, tables, progress)
    write_run_file(out, tables)
    write_atomically(out / "tree.json", tree_json(made.tree, made.found))
    return made


def _report(made: TreeRun, out: Path, settings: Settings, tables: Identity, progress: Progress) -> None:
    """The pages of the tree; it opens at the usual number of concepts, or the nearest below it."""
    names = [level_folder(len(one.found.concepts)) for one in made.levels]
    start = max(place for place, one in enumerate(made.levels) if len(one.found.concepts) <= USUAL or place == 0)
    first = made.levels[start]
    levels = [
        Level(one.found, maps_of(one), label_command(one.found, name), tuple(node.parent for node in nodes))
        for one, name, nodes in zip(made.levels, names, made.tree.nodes, strict=True)
    ]
    shown = settings.reported_of(len(first.images))
    pages = Pages(report_of(made.folder, levels, shown, tables, "tree", start), out) if shown else None
    images = [replace(one, overlay=f"{names[start]}/{one.overlay}" if one.overlay else None) for one in first.images]
    show_pictures(made.folder, first.paths, images, out, None, pages, progress)
