"""All pictures of a folder read by the workers; one that ends the process which reads it is found and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from distributed import Client, Future, KilledWorker

from dff_onnx.cluster.pictures import Chunk, LoadedPictures, Network
from dff_onnx.cluster.rows import DaskRows
from dff_onnx.errors import ImageError, NetworkError
from dff_onnx.images import Resize
from dff_onnx.progress import Progress
from dff_onnx.runs.chunks import chunk_size
from dff_onnx.runs.collect import none_usable
from dff_onnx.runs.seen import Seen


@dataclass(frozen=True, slots=True)
class Facts:
    """What the driver knows of a chunk: all but its rows."""

    size: tuple[int, int]
    channels: int
    seen: tuple[Seen, ...]
    failures: tuple[tuple[Path, str], ...]
    device: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Pictures whose activations lie on workers.

    Attributes:
        rows: of `A`, a part for each chunk that has any.
        seen: the pictures of each part.
        channels: of `A`.
        failures: pictures that could not be used.
        device: the networks ran on.
    """

    rows: DaskRows
    seen: tuple[tuple[Seen, ...], ...]
    channels: int
    failures: tuple[ImageError, ...]
    device: str

    @property
    def pictures(self) -> list[Seen]:
        """All of them, in sorted order."""
        return [one for part in self.seen for one in part]

    @property
    def places(self) -> list[range]:
        """Numbers of each part's pictures."""
        ends = [0, *accumulate(len(part) for part in self.seen)]
        return [range(a, b) for a, b in pairwise(ends)]


def read(
    client: Client, folder: str, paths: Sequence[Path], network: Network, resize: Resize, progress: Progress
) -> Spread:
    """Has the workers read pictures and keep their activations.

    Args:
        client: of the cluster.
        folder: a path or an address that workers can read.
        paths: below it, sorted.
        network: what pictures go through.
        resize: of the pictures.
        progress: is told of every picture.

    Raises:
        NoImagesError: when not one picture can be used.
        ModelError: as `collect`; also when a worker has not the network's file.
        NetworkError: when workers are lost over and over, whichever picture they read.
    """
    size = chunk_size(len(paths))
    chunks = [Chunk(folder, tuple(paths[i : i + size]), network, resize) for i in range(0, len(paths), size)]
    tasks = [_Task.of(client, chunk) for chunk in chunks]
    facts = list[Facts | None]()
    for task in tasks:
        facts.append(_facts_or_none(task))
        progress.advance(len(task.chunk.paths))
    for number in [number for number, one in enumerate(facts) if one is None]:
        tasks[number] = _Task.of(client, _without_killers(client, chunks[number]))
        facts[number] = _facts_or_none(tasks[number])
        if facts[number] is None:
            raise NetworkError(
                f"{folder}: workers that read {chunks[number].paths[0]} and its neighbours are lost again and again, "
                "with each picture alone they are not; give workers more memory, or look at their logs"
            )
    return _spread(client, folder, tasks, [one for one in facts if one is not None])


@dataclass(frozen=True, slots=True)
class _Task:
    """A chunk that is read by a worker."""

    chunk: Chunk
    loaded: Future
    facts: Future

    @classmethod
    def of(cls, client: Client, chunk: Chunk) -> _Task:
        loaded = client.submit(_loaded, chunk, pure=False)
        return cls(chunk, loaded, client.submit(_facts, loaded, pure=False))


def _loaded(chunk: Chunk) -> LoadedPictures:
    return chunk()


def _facts(loaded: LoadedPictures) -> Facts:
    rows, channels = loaded.A.shape
    return Facts((len(loaded.cuts or ()), rows), channels, loaded.seen, loaded.failures, loaded.device)


def _facts_or_none(task: _Task) -> Facts | None:
    """None where workers that read the chunk were lost."""
    try:
        facts: Facts = task.facts.result()
    except KilledWorker:
        return None
    return facts


def _without_killers(client: Client, chunk: Chunk) -> Chunk:
    """The chunk without pictures that end a worker's process: each is tried once more, and nothing else runs then."""

    def kills(path: Path) -> bool:
        return _facts_or_none(_Task.of(client, chunk.alone(path))) is None

    return replace(chunk, left_out=frozenset(filter(kills, chunk.paths)))


def _spread(client: Client, folder: str, tasks: Sequence[_Task], facts: Sequence[Facts]) -> Spread:
    failures = tuple(ImageError(path, reason) for one in facts for path, reason in one.failures)
    used = [(task, one) for task, one in zip(tasks, facts, strict=True) if one.seen]
    if not used:
        raise none_usable(Path(folder), failures)
    return Spread(
        rows=DaskRows.of(client, [task.loaded for task, _ in used], [one.size for _, one in used]),
        seen=tuple(one.seen for _, one in used),
        channels=used[0][1].channels,
        failures=failures,
        device=", ".join(sorted({one.device for one in facts})),
    )
