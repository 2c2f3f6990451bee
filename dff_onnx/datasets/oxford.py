"""Oxford Buildings (Philbin et al., CVPR 2007) and Paris (CVPR 2008): 11 landmarks, five queries each, with boxes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dff_onnx.datasets.dataset import counted
from dff_onnx.datasets.named_pictures import NamedPictures, named_pictures, query_box
from dff_onnx.datasets.paths import is_folder, needed_folder, read_text
from dff_onnx.datasets.retrieval_set import CLASSIC, RetrievalQuery, RetrievalSet, relevance
from dff_onnx.errors import DatasetError

LARGEST = 4 * 2**20  # bytes of a list; the longest of Oxford has 10 kB
MOST_QUERIES = 100_000
QUERY = "_query.txt"
PREFIX = "oxc1_"  # before the names of Oxford's query pictures, and not before those of its files
NAMES: Mapping[
    tuple[int, int], str
] = {  # by queries and pictures; the archive of Oxford has a picture more than it says
    (55, 5062): "Oxford5k",
    (55, 5063): "Oxford5k",
    (55, 6392): "Paris6k",
}

# Pictures of Paris that are damaged in its archives, as its page lists them; everybody leaves them out.
PARIS_CORRUPT = frozenset(
    f"paris_{name}"
    for name in (
        "louvre_000136", "louvre_000146", "moulinrouge_000422", "museedorsay_001059", "notredame_000188",
        "pantheon_000284", "pantheon_000960", "pantheon_000974", "pompidou_000195", "pompidou_000196",
        "pompidou_000201", "pompidou_000467", "pompidou_000640", "sacrecoeur_000299", "sacrecoeur_000330",
        "sacrecoeur_000353", "triomphe_000662", "triomphe_000833", "triomphe_000863", "triomphe_000867",
    )
)  # fmt: skip


def read_oxford(
    root: str | Path, truth: str | Path | None = None, leave_out: Collection[str] = PARIS_CORRUPT
) -> RetrievalSet:
    """Reads `<query>_query.txt`, `_good.txt`, `_ok.txt` and `_junk.txt`, and all pictures below a folder.

    A query's line is a picture and the box `x1 y1 x2 y2` in it. Positive is what is good or ok, junk counts neither for
    nor against; the query's own picture is one of the positives, as it always was. A name that stands twice in a list
    counts once.

    Args:
        root: that the pictures lie below, in any folders.
        truth: the folder of the lists; None: `root`, or the folder in it that has them.
        leave_out: pictures that are left out wherever they are named; damaged ones of Paris by default.

    Raises:
        DatasetError: naming the file, when a list is missing or malformed, names a picture that is not there, a box
            does not fit its picture, or a picture is both positive and junk.
    """
    root = needed_folder(root, "the folder that holds the pictures")
    found = named_pictures(root)
    folder = _truth_folder(root, truth)
    kept = {name: path for name, path in found.paths.items() if name not in leave_out}
    if not kept:
        raise DatasetError(f"{root}: all its pictures are to be left out")
    lists = _Lists(folder, replace(found, paths=kept), {name: at for at, name in enumerate(kept)}, frozenset(leave_out))
    queries = tuple(lists.query(name) for name in _query_names(folder))
    notes = []
    if fewer := len(found.paths) - len(kept):
        notes.append(f"{counted(fewer, 'damaged picture')} left out by name")
    name = NAMES.get((len(queries), len(kept)), root.resolve().name)
    return RetrievalSet(name, root, tuple(kept.values()), queries, (CLASSIC,), tuple(notes))


def _truth_folder(root: Path, truth: str | Path | None) -> Path:
    if truth is not None:
        return needed_folder(truth, f"the folder of *{QUERY}")
    holding = [folder for folder in (root, *sorted(filter(is_folder, root.iterdir()))) if any(folder.glob(f"*{QUERY}"))]
    if len(holding) != 1:
        found = " and ".join(str(folder) for folder in holding[:2]) if holding else "no folder in it"
        raise DatasetError(f"{root}: {found} has *{QUERY}; give the folder of the ground truth")
    return holding[0]


def _query_names(folder: Path) -> list[str]:
    names = sorted(path.name.removesuffix(QUERY) for path in folder.glob(f"*{QUERY}"))
    if not names or len(names) > MOST_QUERIES:
        raise DatasetError(f"{folder}: has {len(names)} files *{QUERY}; 1 to {MOST_QUERIES} are possible")
    return names


@dataclass(frozen=True, slots=True)
class _Lists:
    """The ground truth's folder, and what its names mean."""

    folder: Path
    pictures: NamedPictures
    places: Mapping[str, int]
    left_out: frozenset[str]

    def query(self, name: str) -> RetrievalQuery:
        path = self.folder / f"{name}{QUERY}"
        words = read_text(path, LARGEST).split()
        if len(words) != 5:
            raise DatasetError(f"{path}: has {len(words)} words, and a picture and x1 y1 x2 y2 are needed")
        stem = self._stem(words[0])
        picture = self.pictures.of(stem, path)
        try:
            corners = [float(word) for word in words[1:]]
        except ValueError as error:
            raise DatasetError(f"{path}: {error}, and x1 y1 x2 y2 are needed") from error
        box = query_box(corners, picture, path)
        good, ok, junk = (set(self._listed(f"{name}_{kind}.txt")) for kind in ("good", "ok", "junk"))
        try:
            known = relevance(good | ok, junk)
        except DatasetError as error:
            both = min((good | ok) & junk)
            shared = self.pictures.root / [*self.pictures.paths.values()][both]
            raise DatasetError(
                f"{self.folder / name}_junk.txt: {shared.stem} is positive, too; take one out"
            ) from error
        return RetrievalQuery(name, picture, self.places[stem], box, {CLASSIC: known})

    def _listed(self, name: str) -> Iterator[int]:
        path = self.folder / name
        for word in read_text(path, LARGEST).split():
            stem = self._stem(word)
            if stem not in self.left_out:
                self.pictures.of(stem, path)
                yield self.places[stem]

    def _stem(self, word: str) -> str:
        """Names of Oxford's query pictures have a prefix that their files have not."""
        return word if word in self.places else word.removeprefix(PREFIX).removesuffix(".jpg")
