"""What `eval retrieval` compares: kinds of descriptors, each as it is and whitened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from dff_onnx.errors import UsageError
from dff_onnx.evaluation.reranking import Reranking, check_counts_used
from dff_onnx.evaluation.scores import SystemUsed
from dff_onnx.retrieval.whitening import check_shrinkage
from dff_onnx.runs.descriptors import DescriptorSettings, Kind

TITLES: Mapping[Kind, str] = {
    "mac": "MAC: the largest activation of every channel",
    "spoc": "SPoC: the mean of every channel",
    "gem": "GeM: the generalized mean of every channel, p = 3",
    "crow": "CroW: cells by their strength, channels by how rare they are",
    "ucrow": "uCroW: CroW without weights; of unit length it is SPoC",
    "rmac": "R-MAC: the maxima of a grid of squares, added up",
    "fs-egm": "FS.EGM: the maxima of salient regions, added up",
    "dff": "DFF: the concepts of each picture alone, added up",
    "codes": "Neural codes: all that the layer says of a square",
}


WITH_PARTS: tuple[Kind, ...] = ("rmac", "fs-egm", "dff")


@dataclass(frozen=True, slots=True)
class RetrievalSystem:
    """One kind of descriptor.

    Attributes:
        name: on the command line and in tables.
        settings: of the descriptor.
    """

    name: str
    settings: DescriptorSettings


@dataclass(frozen=True, slots=True)
class RetrievalPlan:
    """What is compared.

    Attributes:
        systems: at the same size and scales.
        whiten: a folder of pictures to learn whitenings on; None: none is learnt.
        dimensions: to keep of each whitening, a row for each; None stands for all that vary.
        shrinkages: of whitenings, see `learn_whitening`; rows for each.
        rerank: ways to rank the pictures, a row for each.
    """

    systems: tuple[RetrievalSystem, ...]
    whiten: Path | None = None
    dimensions: tuple[int | None, ...] = (None,)
    shrinkages: tuple[float, ...] = (0.0,)
    rerank: tuple[Reranking, ...] = (Reranking(),)

    def __post_init__(self) -> None:
        if len(self.systems) > 1 and any(one.settings.kind == "codes" for one in self.systems):
            raise UsageError(
                "--systems: codes look at squares, the others at whole aspects; evaluate codes alone, and compare both "
                "with `dff-onnx eval compare`"
            )
        if self.whiten is None and self.dimensions != (None,):
            raise UsageError("--dimensions: are those of a whitening; give pictures to learn it on with --whiten")
        if not self.dimensions or len(set(self.dimensions)) != len(self.dimensions):
            raise UsageError("--dimensions: each number once is needed, at least one")
        if self.whiten is None and self.shrinkages != (0.0,):
            raise UsageError("--shrinkage: is that of a whitening; give pictures to learn it on with --whiten")
        if not self.shrinkages or len(set(self.shrinkages)) != len(self.shrinkages):
            raise UsageError("--shrinkage: each number once is needed, at least one")
        for shrinkage in self.shrinkages:
            check_shrinkage(shrinkage)
        if not self.rerank or len({how.name for how in self.rerank}) != len(self.rerank):
            raise UsageError("--rerank: each way once is needed, at least one")
        check_counts_used(self.rerank)
        whole = [one.name for one in self.systems if one.settings.kind not in WITH_PARTS]
        if self.by_regions and whole:
            raise UsageError(
                f"--rerank: {', '.join(how.name for how in self.rerank if how.by_regions)} looks at regions, and "
                f"{', '.join(whole)} has none; take --systems of {', '.join(WITH_PARTS)}"
            )

    @property
    def by_regions(self) -> bool:
        """Whether some way to rank looks at parts of pictures."""
        return any(how.by_regions for how in self.rerank)

    @property
    def whitenings(self) -> tuple[tuple[float, int | None], ...]:
        """Shrinkage and dimensions of each row of a system that is whitened; none where none is."""
        return tuple(product(self.shrinkages, self.dimensions)) if self.whiten is not None else ()

    def used(self) -> tuple[SystemUsed, ...]:
        """A row for each descriptor and each way to rank, in the order of `evaluate_retrieval`."""
        return tuple(_ranked(one, how) for one in self.described() for how in self.rerank)

    def described(self) -> tuple[SystemUsed, ...]:
        """A descriptor for each system, and for each whitening of it."""
        found = []
        for system in self.systems:
            settings = {"kind": system.settings.kind, **system.settings.to_dict()}
            title = TITLES[system.settings.kind]
            found.append(SystemUsed(system.name, title, settings))
            for shrinkage, kept in self.whitenings:
                name = f"{system.name}+w" + (str(kept) if kept and len(self.dimensions) > 1 else "")
                name += f"s{shrinkage:g}" if shrinkage and len(self.shrinkages) > 1 else ""
                shrunk = {"shrinkage": shrinkage} if shrinkage else {}
                whitening = {"learnt on": self._learnt_on(), "dimensions": kept, **shrunk}
                told = f"{title}; whitened" + (f" to {kept} dimensions" if kept else "")
                told += f", {shrinkage:g} of the largest variance added" if shrinkage else ""
                found.append(SystemUsed(name, told, {**settings, "whitening": whitening}))
        return tuple(found)

    def _learnt_on(self) -> str:
        return "" if self.whiten is None else self.whiten.resolve().name


def _ranked(one: SystemUsed, how: Reranking) -> SystemUsed:
    if how.way == "none":
        return one
    said = {"way": how.name, "neighbours": how.neighbours or "usual", "entries": how.enters()}
    return SystemUsed(f"{one.name}/{how.name}", f"{one.title}; {how.title}", {**one.settings, "rerank": said})


def retrieval_systems(
    names: Sequence[str], ks: Sequence[int] = (12,), size: int = 0, scales: Sequence[float] = (1.0,)
) -> tuple[RetrievalSystem, ...]:
    """The systems of these names; `dff` once for each k. A size of 0 is the usual one.

    Raises:
        UsageError: when a name is unknown, one or a k is given twice, or none is given.

    >>> [system.name for system in retrieval_systems(["mac", "dff"], [4, 8])]
    ['mac', 'dff k=4', 'dff k=8']
    """
    if unknown := [name for name in names if name not in TITLES]:
        raise UsageError(f"--systems: there is no system {unknown[0]!r}; there are {', '.join(TITLES)}")
    if not names or len(set(names)) != len(names):
        raise UsageError(f"--systems: each name once is needed, at least one; found {','.join(names)!r}")
    if not ks or len(set(ks)) != len(ks):
        raise UsageError(f"-k: each number once is needed, at least one; found {','.join(map(str, ks))!r}")
    found = []
    for kind in (kind for name in names for kind in TITLES if kind == name):
        usual = DescriptorSettings(kind, size=size, scales=tuple(scales))
        if kind != "dff":
            found.append(RetrievalSystem(kind, usual))
            continue
        found += [RetrievalSystem(kind if len(ks) == 1 else f"{kind} k={k}", replace(usual, k=k)) for k in ks]
    return tuple(found)
