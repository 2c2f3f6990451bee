"""`dff-onnx verify`: a compiled file beside the Python pipeline, on the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.nodes import constants
from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.backbone.runtime import Session, create_session, runtime_errors
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, bank_sha256, read_bank
from dff_onnx.concepts.matching import match
from dff_onnx.deploy.concepts import BOXES
from dff_onnx.deploy.foreground import FOREGROUND
from dff_onnx.deploy.least_squares import Gram
from dff_onnx.deploy.metadata import Compiled, bank_in, compiled_of
from dff_onnx.errors import BankError, ModelError, first_line
from dff_onnx.factorization import factorize
from dff_onnx.files import printable, walk_pictures
from dff_onnx.images import Resize
from dff_onnx.maps import upsample
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.compared import AT_THRESHOLD, Compared, Verified, difference, may_be, worst_of
from dff_onnx.runs.few_pictures import read_few
from dff_onnx.runs.file_outputs import check_outputs
from dff_onnx.runs.opening import Opening, network_of, open_as
from dff_onnx.runs.reference import Outputs, reference

ALLOWED = 1e-4
ALLOWED_HALF = 2e-2  # where weights are in half precision
ALLOWED_LOSS = 1e-3  # of a factorization, as a share of the loss
ALLOWED_EACH = 1e-7  # of coefficients, for each unit of their concepts' condition: what rounding to float32 makes of it
ALLOWED_AT_MOST = 0.5  # beyond, the loss alone tells
MOST_TOGETHER = 60  # pictures that are factorized together
TINY = 1e-30

Pixels = NDArray[np.uint8]
Named = tuple[str, Pixels]


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
    known = _bank(made, about, path, bank)
    session = session_of(made, path)
    check_outputs(session, about, path)
    file = network_of(about.fingerprint, path, model, progress)
    both = Both(path, session, about, known, open_as(about.fingerprint, path, file, Opening("cpu")), in_half(made))
    if pictures is None:
        return both.compared(random_pictures(both.sizes()), progress)
    read = read_few(Path(pictures), walk_pictures(Path(pictures)), about.resize or Resize())
    named = [(printable(path), pixels) for path, pixels in zip(read.paths, read.pixels, strict=True)]
    return replace(both.compared(named, progress), failures=read.failures)


def session_of(made: ModelProto, path: Path) -> Session:
    """A compiled file in ONNX Runtime, on the CPU.

    Raises:
        ModelError: when it is refused there.
    """
    try:
        return create_session(made.SerializeToString(deterministic=True), "cpu")
    except runtime_errors() as error:
        raise ModelError(f"{path}: ONNX Runtime refuses it: {first_line(error)}") from error


@dataclass(frozen=True, slots=True)
class Both:
    """A compiled file that runs, and what the Python pipeline needs.

    Attributes:
        path: of the file, for sentences.
        session: of the file.
        about: what it says of itself.
        bank: that it was made of; None where it fits one itself.
        backbone: the network inside, as a file of its own.
        half: whether some of it is in half precision.
    """

    path: Path
    session: Session
    about: Compiled
    bank: Bank | None
    backbone: Backbone
    half: bool

    def compared(self, pictures: Sequence[Named], progress: Progress | None = None) -> Verified:
        """On these pictures, `(1, height, width, 3)` each; a factorization on those as large as the first."""
        progress = progress or Silent()
        if self.bank is None:
            together = self._together(pictures)
            return Verified(self.about, len(together), self._fits(np.concatenate(together)))
        progress.start("comparing", len(pictures))
        tables = [self._concepts(self.bank, name, pixels) for name, pixels in followed(pictures, progress)]
        return Verified(self.about, len(pictures), tuple(worst_of(rows) for rows in zip(*tables, strict=True)))

    def _together(self, pictures: Sequence[Named]) -> list[Pixels]:
        """Of one size, and as many as the file takes at once."""
        alike = [one for _, one in pictures if one.shape == pictures[0][1].shape][:MOST_TOGETHER]
        return (alike * (self._batch or 1))[: self._batch or len(alike)]

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
    def _batch(self) -> int | None:
        """How many pictures the file takes, where it takes no other number."""
        count = self.session.get_inputs()[0].shape[0]
        return count if isinstance(count, int) else None

    @property
    def _rounding(self) -> float:
        """How far an output may be off."""
        return ALLOWED_HALF if self.half else ALLOWED

    @property
    def _allowed(self) -> float:
        """How far coefficients may: of concepts that are much alike the picture says little of each."""
        condition = Gram.of(self.bank.W).condition if self.bank is not None and len(self.bank.W) else 1.0
        return max(self._rounding, min(ALLOWED_EACH * condition, ALLOWED_AT_MOST))

    def _run(self, pixels: Pixels) -> Outputs:
        try:
            values = self.session.run(None, {INPUT: pixels})
        except runtime_errors() as error:
            raise ModelError(
                f"{self.path}: fails on pixels of the shape {pixels.shape}: {first_line(error)}"
            ) from error
        return dict(zip([one.name for one in self.session.get_outputs()], values, strict=True))

    def _concepts(self, bank: Bank, picture: str, pixels: Pixels) -> list[Compared]:
        """Every output of one picture, which is repeated where the file takes more at once."""
        found = {name: values[:1] for name, values in self._run(np.repeat(pixels, self._batch or 1, axis=0)).items()}
        expected = reference(self.about, bank, self.backbone, pixels, found.get("classes"))
        return [self._one(output, values, expected, picture) for output, values in found.items()]

    def _one(self, output: str, found: NDArray[Any], expected: Outputs, picture: str) -> Compared:
        if output == "kkt":
            return Compared(output, float(found.max(initial=0)), None, picture, "0 is optimal")
        if output.endswith(tuple(BOXES.values())):
            return self._boxes(output, found, expected, picture)
        ours = expected[output]
        if output == "classes":  # of classes whose scores are equal but for rounding any may come first
            found, ours = (np.take_along_axis(expected["class_scores"], one, axis=1) for one in (found, ours))
        allowed = self._allowed if output in ("heatmaps", "scores") else self._rounding
        return Compared(output, difference(found, ours), allowed, picture)

    def _boxes(self, output: str, found: NDArray[Any], expected: Outputs, picture: str) -> Compared:
        """How many differ more than values at the threshold explain."""
        ours = expected[output]
        if found.shape != ours.shape:
            return Compared(output, float("inf"), 0.0, picture)
        of_foreground = output.startswith(FOREGROUND)
        maps = expected[FOREGROUND][0][None] if of_foreground else expected["heatmaps"][0]
        at = [0.5] if of_foreground else [one.threshold for one in self.about.concepts]
        near = self._allowed if self._allowed > ALLOWED else AT_THRESHOLD
        differ = (found[0] != ours[0]).any(axis=-1)
        known = may_be(found[0], maps, np.asarray(at, np.float32), self.about.boxes == "regions", near)
        wrong = int((differ & ~known).sum())
        return Compared(output, float(wrong), 0.0, picture, differ=int(differ.sum()), of=differ.size)

    def _fits(self, pixels: Pixels) -> tuple[Compared, ...]:
        """A factorization beside Python's of the same activations, and its outputs beside each other."""
        k, found = self.about.k, self._run(pixels)
        values = [np.asarray(to_numpy(self.backbone(one[None])), np.float32) for one in pixels]
        A = np.concatenate([to_numpy(rows_of(one)) for one in values])
        ours = factorize(A, k)
        W, coefficients = found["concepts"], found["coefficients"]
        shapes = [(k, A.shape[1]), (len(pixels), k, *values[0].shape[2:])]
        if [one.shape for one in (W, coefficients)] != shapes:
            raise ModelError(
                f"{self.path}: its concepts and coefficients have the shapes {W.shape} and {coefficients.shape}, and "
                f"should have {shapes[0]} and {shapes[1]}; compile it again"
            )
        H = coefficients.transpose(0, 2, 3, 1).reshape(len(A), k)
        told, left = float(found["loss"]), residual(A, H, W)
        highest = H.max(axis=0)
        maps = coefficients / np.where(highest > 0, highest, 1)[:, None, None]
        return (
            Compared("loss", told / max(ours.loss, TINY) - 1, ALLOWED_LOSS, note="more than Python's"),
            Compared("concepts", _apart(to_numpy(ours.W), W), None, note="1 - cosine of the pair that differs most"),
            Compared("coefficients", abs(left - told), self._rounding, note="their loss beside the one told"),
            Compared("heatmaps", difference(found["heatmaps"], upsample(maps, *pixels.shape[1:3])), ALLOWED),
            Compared("scores", difference(found["scores"], maps.max(axis=(2, 3))), ALLOWED),
        )


def _apart(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """1 - the cosine of the pair that differs most; infinite for what is no number."""
    if not np.isfinite(theirs).all():
        return float("inf")
    return 1 - min(one.cosine for one in match(np.asarray(ours), theirs))


def residual(A: NDArray[np.float32], H: NDArray[np.float32], W: NDArray[np.float32]) -> float:
    """`||A - H W||^2 / ||A||^2` of a matrix that is small, 0 for an `A` of zeros."""
    with np.errstate(invalid="ignore", over="ignore"):  # a file may hold what is no number
        left, whole = (float((part.astype(np.float64) ** 2).sum()) for part in (A - H @ W, A))
    return left / whole if whole > 0 else 0.0


def in_half(made: ModelProto) -> bool:
    """Whether a model holds constants in half precision."""
    return any(one.data_type == TensorProto.FLOAT16 for one in constants(made.graph).values())


def _bank(made: ModelProto, about: Compiled, path: Path, given: str | Path | None) -> Bank | None:
    """Of a file that was made of one."""
    if given is None:
        return None if about.kind == "fit" else bank_in(made, about, path)
    bank = read_bank(given)
    if bank_sha256(bank) != about.bank_sha256:
        raise BankError(f"{path}: was made of another bank than {given}; compile it again, or give that bank")
    return bank


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
