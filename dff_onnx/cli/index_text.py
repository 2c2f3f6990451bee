"""What `index` did and what `index-info` found, in words and in JSON."""

from __future__ import annotations

from itertools import islice
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.report.names import shown
from dff_onnx.runs.index import Indexed
from dff_onnx.runs.index_info import IndexInfo
from dff_onnx.runs.prepare_index import Prepared

GROUPS = 20  # that are named; JSON has all


def indexed_line(done: Indexed, where: str) -> str:
    """One line."""
    return (
        f"{where}: {done.added} added, {done.changed} changed, {done.removed} removed, {done.unchanged} unchanged, "
        f"{len(done.failures)} could not be used; it holds {counted(done.images, 'picture')} "
        f"and {counted(done.regions, 'region')}, device {done.device}"
    )


def indexed_fields(done: Indexed, where: str) -> dict[str, Any]:
    """For `--json`."""
    return {
        "index": where,
        "added": done.added,
        "changed": done.changed,
        "removed": done.removed,
        "unchanged": done.unchanged,
        "failures": [{"path": one.path, "reason": one.reason} for one in done.failures],
        "images": done.images,
        "regions": done.regions,
        "state": done.state,
        "device": done.device,
    }


def info_lines(found: IndexInfo) -> list[str]:
    """Text."""
    identity, counts = found.identity, found.counts
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in sorted(identity.settings.items()))
    lines = [
        f"{found.where}",
        f"  network    {identity.fingerprint.described.removeprefix('network ')}",
        f"  descriptor {shown(identity.descriptor)}, {settings}",
        f"  vectors    {identity.dimensions} dimensions, {identity.dtype}",
    ]
    if found.problems:
        return [*lines, f"{counted(len(found.problems), 'thing')} wrong:", *(f"  {shown(p)}" for p in found.problems)]
    lines += [
        f"  whitening  {_whitening(found)}",
        f"  holds      {counted(counts.images, 'picture')}, {counted(counts.regions, 'region')}, "
        f"{counted(counts.vector_bytes, 'byte')} of vectors"
        + (f", file of {counted(found.file_bytes, 'byte')}" if found.file_bytes is not None else ""),
        f"  state      {found.state[:12] or 'nothing was put yet'}",
    ]
    if graphs := [f"{kind} {state}" for kind, state in found.graphs.items() if state != "none"]:
        lines.append(f"  graphs     {', '.join(graphs)}")
    if graphs := [f"{kind} {state}" for kind, state in found.to_rank_on.items() if state != "none"]:
        lines.append(f"  to rank on {', '.join(graphs)}")
    labels = {label: number for label, number in found.groups.items() if label is not None}
    if labels:
        lines.append(f"  {counted(len(labels), 'group')}")
        lines += [f"    {number:7} {shown(label)}" for label, number in islice(labels.items(), GROUPS)]
        lines += [f"    and {len(labels) - GROUPS} more (--json has all)"] if len(labels) > GROUPS else []
    if None in found.groups and labels:
        lines.append(f"    {found.groups[None]:7} in none")
    return lines + (["everything was read, nothing is wrong"] if found.problems is not None else [])


def info_fields(found: IndexInfo) -> dict[str, Any]:
    """For `--json`."""
    identity, whitening = found.identity, found.whitening
    return {
        "index": found.where,
        "fingerprint": identity.fingerprint.to_dict(),
        "descriptor": identity.descriptor,
        "settings": identity.settings,
        "dimensions": identity.dimensions,
        "dtype": identity.dtype,
        "whitening": identity.whitening,
        "whitening_from": whitening
        and {"folder": whitening.folder, "pictures": whitening.pictures, "vectors": whitening.vectors},
        "images": found.counts.images,
        "regions": found.counts.regions,
        "vector_bytes": found.counts.vector_bytes,
        "file_bytes": found.file_bytes,
        "groups": [{"label": label, "images": number} for label, number in found.groups.items()],
        "state": found.state,
        "graphs": dict(found.graphs),
        "to_rank_on": dict(found.to_rank_on),
        "problems": None if found.problems is None else list(found.problems),
    }


def prepared_line(built: Prepared) -> str:
    """One line."""
    return (
        f"{built.path}: {counted(built.vectors, built.kind.removesuffix('s'))}, {counted(built.file_bytes, 'byte')}, "
        f"built in {built.seconds:.1f} s; finds {100 * built.recall:.1f} % of the {built.neighbours} nearest of "
        f"{counted(built.asked, 'vector')}"
    )


def prepared_fields(built: Prepared) -> dict[str, Any]:
    """For `--json`."""
    return {
        "kind": built.kind,
        "file": str(built.path),
        "vectors": built.vectors,
        "file_bytes": built.file_bytes,
        "seconds": round(built.seconds, 3),
        "recall": built.recall,
        "neighbours": built.neighbours,
        "asked": built.asked,
    }


def _whitening(found: IndexInfo) -> str:
    if found.whitening is None:
        return "none"
    learnt = found.whitening
    return (
        f"{(found.identity.whitening or '')[:12]}, from {counted(learnt.vectors, 'part')} of "
        f"{counted(learnt.pictures, 'picture')} in {shown(learnt.folder)}"
    )


def _plain(value: Any) -> str:
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list) else shown(str(value))
