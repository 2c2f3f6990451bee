"""`dff-onnx verify`: a compiled file beside the Python pipeline, on the same pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import Session, create_session, runtime_errors
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, bank_sha256, read_bank
from dff_onnx.concepts.matching import match
from dff_onnx.deploy.concepts import BOXES
from dff_onnx.deploy.foreground import FOREGROUND
from dff_onnx.deploy.metadata import Compiled, bank_in, compiled_of
from dff_onnx.errors import BankError, ModelError
from dff_onnx.factorization import factorize
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.maps import upsample
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.opening import Opening, network_of, open_as
from dff_onnx.runs.reference import Outputs, reference

ALLOWED = 1e-4
ALLOWED_HALF = 2e-2  # where weights are in half precision
ALLOWED_LOSS = 1e-3  # of a factorization, as a share of the loss
AT_THRESHOLD = 1e-5  # a mask, and with it a box, may differ where a value lies so near
MOST_FITTED = 60  # pictures that are factorized together
TINY = 1e-30

Pixels = NDArray[np.uint8]
Named = tuple[str, Pixels]


@dataclass(frozen=True, slots=True)
class Compared:
    """One output beside what Python says.

    Attributes:
        output: its name.
        largest: difference, relative to the largest value where that exceeds 1; of boxes how many differ that may not.
        allowed: more is wrong; None where it is told and not judged.
        where: the picture of the largest difference.
        note: what else there is to say.
        differ, of: how many boxes differ, all told.
    """

    output: str
    largest: float
    allowed: float | None
    where: str = ""
    note: str = ""
    differ: int = 0
    of: int = 0

    @property
    def good(self) -> bool:
        """Whether it is as it should be; what is no number is not."""
        return self.allowed is None or self.largest <= self.allowed


@dataclass(frozen=True, slots=True)
class Verified:
    """A compiled file beside the Python pipeline.

    Attributes:
        about: what the file says of itself.
        pictures: how many both saw.
        compared: outputs, in the file's order.
    """

    about: Compiled
    pictures: int
    compared: tuple[Compared, ...]

    @property
    def good(self) -> bool:
        """Whether every output is as it should be."""
        return all(one.good for one in self.compared)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        rows = [asdict(one) | {"good": one.good} for one in self.compared]
        for row in rows:  # JSON has no word for what is no number
            row["largest"] = row["largest"] if math.isfinite(row["largest"]) else None
        return {"good": self.good, "pictures": self.pictures, "outputs": rows}


def verify(
    path: str | Path,
    pictures: str | Path | None = None,
    *,
    bank: str | Path | None = None,
    model: str | Path | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Runs a compiled file and the Python pipeline on the same pictures, on the CPU, and compares every output.

    Args:
        path: what `dff-onnx compile` wrote.
        pictures: a folder, or one picture; by default random ones of three sizes.
        bank: that the file was made of; by default what the file itself holds of it.
        model: the network inside, as a file of its own; by default it is looked for by its sha256.
        progress: follows the pictures.

    Raises:
        ModelError: when it is no compiled file, or the network is not found, or the runtime fails.
        BankError: when it was made of another bank, or the network is another one.
        UsageError, NoImagesError: when there are no such files.
    """
    path, progress = Path(path), progress or Silent()
    made = load_model(path).model
    about = compiled_of(made, path)
    known = None if about.kind == "fit" else _bank(made, about, path, bank)
    file = network_of(about.fingerprint, path, model, progress)
    both = Both(
        path=path,
        session=create_session(made.SerializeToString(), "cpu"),
        about=about,
        bank=known,
        backbone=open_as(about.fingerprint, path, file, Opening("cpu")),
    )
    shown = list(_given(Path(pictures), about)) if pictures else random_pictures(both.sizes())
    return both.compared(shown, progress)


@dataclass(frozen=True, slots=True)
class Both:
    """A compiled file that runs, and what the Python pipeline needs.

    Attributes:
        path: of the file, for sentences.
        session: of the file.
        about: what it says of itself.
        bank: that it was made of; None where it fits one itself.
        backbone: the network inside, as a file of its own.
    """

    path: Path
    session: Session
    about: Compiled
    bank: Bank | None
    backbone: Backbone

    def compared(self, pictures: Sequence[Named], progress: Progress | None = None) -> Verified:
        """On these pictures, `(1, height, width, 3)` each."""
        progress = progress or Silent()
        if self.bank is None:
            return Verified(self.about, len(pictures), self._fits(pictures))
        progress.start("comparing", len(pictures))
        tables = [self._concepts(self.bank, name, pixels) for name, pixels in followed(pictures, progress)]
        return Verified(self.about, len(pictures), tuple(_worst(rows) for rows in zip(*tables, strict=True)))

    def sizes(self) -> list[tuple[int, int]]:
        """Of random pictures: as the bank's are, wide and tall; of one size where the network takes no other."""
        height, width = self.session.get_inputs()[0].shape[1:3]
        if isinstance(height, int) and isinstance(width, int):
            return [(height, width)]
        side = (self.about.resize or Resize()).pixels
        if self.bank is None:
            return [(side, side)] * 6
        return [(side, side), (side, side * 4 // 3), (side * 3 // 2, side)]

    @property
    def _allowed(self) -> float:
        return ALLOWED_HALF if self.about.float16 else ALLOWED

    def _run(self, pixels: Pixels) -> Outputs:
        try:
            values = self.session.run(None, {self.session.get_inputs()[0].name: pixels})
        except runtime_errors() as error:
            why = str(error).strip().splitlines()[0][:200]
            raise ModelError(f"{self.path}: fails on pixels of the shape {pixels.shape}: {why}") from error
        return dict(zip([one.name for one in self.session.get_outputs()], values, strict=True))

    def _concepts(self, bank: Bank, picture: str, pixels: Pixels) -> list[Compared]:
        """Every output of one picture."""
        found = self._run(pixels)
        expected = reference(self.about, bank, self.backbone, pixels, found.get("classes"))
        return [self._one(output, values, expected, picture) for output, values in found.items()]

    def _one(self, output: str, found: NDArray[Any], expected: Outputs, picture: str) -> Compared:
        if output == "kkt":
            return Compared(output, float(found.max()), None, picture, "0 is optimal")
        if output.endswith(tuple(BOXES.values())):
            return self._boxes(output, found, expected, picture)
        ours = expected[output]
        if output == "classes":  # of classes whose scores are equal but for rounding any may come first
            found, ours = (np.take_along_axis(expected["class_scores"], one, axis=1) for one in (found, ours))
        return Compared(output, _difference(found, ours), self._allowed, picture)

    def _boxes(self, output: str, found: NDArray[Any], expected: Outputs, picture: str) -> Compared:
        """How many differ though no value of their map lies at the threshold."""
        of_foreground = output.startswith(FOREGROUND)
        maps = expected[FOREGROUND][0][None] if of_foreground else expected["heatmaps"][0]
        thresholds = [0.5] if of_foreground else [one.threshold for one in self.about.concepts]
        gaps = np.asarray([np.abs(one - at).min() for one, at in zip(maps, thresholds, strict=True)])
        differ = (found[0] != expected[output][0]).any(axis=-1)
        wrong = int((differ & (gaps > (self._allowed if self.about.float16 else AT_THRESHOLD))).sum())
        return Compared(output, float(wrong), 0.0, picture, differ=int(differ.sum()), of=differ.size)

    def _fits(self, pictures: Sequence[Named]) -> tuple[Compared, ...]:
        """A factorization beside Python's of the same activations, and its outputs beside each other."""
        k, pixels = self.about.k, np.concatenate([one for _, one in pictures[:MOST_FITTED]])
        found = self._run(pixels)
        A = np.concatenate([np.asarray(to_numpy(rows_of(self.backbone(one[None]))), np.float32) for one in pixels])
        ours = factorize(A, k)
        W, H = found["concepts"], found["coefficients"].transpose(0, 2, 3, 1).reshape(len(A), k)
        told, left = float(found["loss"]), residual(A, H, W)
        highest = H.max(axis=0)
        maps = found["coefficients"] / np.where(highest > 0, highest, 1)[:, None, None]
        apart = 1 - min(one.cosine for one in match(np.asarray(to_numpy(ours.W)), W))
        enlarged = upsample(maps, *pixels.shape[1:3])
        return (
            Compared("loss", told / max(ours.loss, TINY) - 1, ALLOWED_LOSS, note="more than Python's"),
            Compared("concepts", apart, None, note="1 - cosine of the pair that differs most"),
            Compared("coefficients", abs(left - told), self._allowed, note="their loss beside the one told"),
            Compared("heatmaps", _difference(found["heatmaps"], enlarged), ALLOWED),
            Compared("scores", _difference(found["scores"], maps.max(axis=(2, 3))), ALLOWED),
        )


def residual(A: NDArray[np.float32], H: NDArray[np.float32], W: NDArray[np.float32]) -> float:
    """`||A - H W||^2 / ||A||^2` of a matrix that is small, 0 for an `A` of zeros."""
    left, whole = (float((part.astype(np.float64) ** 2).sum()) for part in (A - H @ W, A))
    return left / whole if whole > 0 else 0.0


def _bank(made: ModelProto, about: Compiled, path: Path, given: str | Path | None) -> Bank:
    if given is None:
        return bank_in(made, about, path)
    bank = read_bank(given)
    if bank_sha256(bank) != about.bank_sha256:
        raise BankError(f"{path}: was made of another bank than {given}; compile it again, or give that bank")
    return bank


def _given(pictures: Path, about: Compiled) -> Iterable[Named]:
    resize = about.resize or Resize()
    for name in walk_pictures(pictures):
        yield printable(name), read_picture(root_of(pictures) / name, resize).pixels[None]


def random_pictures(sizes: Sequence[tuple[int, int]]) -> list[Named]:
    """Pictures of patches of colour and a little noise, the same ones each time.

    >>> [pixels.shape for _, pixels in random_pictures([(32, 48)])]
    [(1, 32, 48, 3)]
    """
    made = []
    for number, (height, width) in enumerate(sizes):
        rng = np.random.default_rng(number)
        patches = upsample(rng.uniform(0, 255, (3, 6, 6)).astype(np.float32), height, width)
        noisy = np.clip(patches + rng.normal(0, 12, patches.shape), 0, 255)
        made.append((f"random {height}x{width}", noisy.astype(np.uint8).transpose(1, 2, 0)[None]))
    return made


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest, relative to the largest value where that exceeds 1."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max(initial=0) / max(1.0, float(np.abs(expected).max(initial=0))))


def _worst(rows: Sequence[Compared]) -> Compared:
    """Of all pictures: the largest difference; of boxes, how many there are in all."""
    worst = max(rows, key=lambda one: (not one.good, one.largest))
    if not worst.of:
        return worst
    wrong, differ, of = (
        sum(values) for values in zip(*((one.largest, one.differ, one.of) for one in rows), strict=True)
    )
    note = f"{int(differ)} of {int(of)} differ"
    if differ > wrong:
        note += f", {int(differ - wrong)} with a value at the threshold"
    where = worst.where if differ else ""
    return Compared(worst.output, wrong, 0.0, where, note, int(differ), int(of))
