"""`dff-onnx compile`: a bank, or the factorization itself, with its network in one ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from dff_onnx.backbone.cut import Sign
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank, read_bank
from dff_onnx.datasets.class_names import ClassNames, names_for
from dff_onnx.deploy.assemble import compiled_bank, compiled_fit
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.least_squares import Gram
from dff_onnx.deploy.metadata import compiled_of
from dff_onnx.errors import BankError, ModelError
from dff_onnx.files import write_atomically
from dff_onnx.images import Resize
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Preprocessing
from dff_onnx.runs.compared import Verified
from dff_onnx.runs.opening import Opening, network_of, open_as, unsigned
from dff_onnx.runs.output_file import check_writable
from dff_onnx.runs.verify import Both, in_half, random_pictures, session_of

UNNOTICED = "and nothing in the file would notice"


@dataclass(frozen=True, slots=True)
class Written:
    """A compiled file.

    Attributes:
        path: where it is.
        size, network_size: bytes of it, and of the network's own file.
        inputs: shape of the image batch, names where an axis is free.
        outputs: name and shape of each output.
        verified: how it compares with the Python pipeline on a random picture; of a factorization on six.
        rounds: that the least squares of this bank take; 0 where there are no concepts.
        assumed: whether nobody said the network's preprocessing, and torchvision's was taken.
    """

    path: Path
    size: int
    network_size: int
    inputs: tuple[int | str, ...]
    outputs: tuple[tuple[str, tuple[int | str, ...]], ...]
    verified: Verified
    rounds: int = 0
    assumed: bool = False


def compile_bank(
    path: str | Path,
    output: str | Path,
    form: Form | None = None,
    *,
    model: str | Path | None = None,
    class_names: ClassNames | None = None,
    progress: Progress | None = None,
) -> Written:
    """Writes a bank with its network as one ONNX file: pixels in; heat maps, scores, boxes and losses out.

    What was made is compared with the Python pipeline on a random picture before it is written.

    Args:
        path: of the bank.
        output: the file to write.
        form: what it is to hold.
        model: the bank's network; by default it is looked for by its sha256.
        class_names: of a classifier, for class maps; by default ImageNet's where it has as many.
        progress: follows the stages.

    Raises:
        UsageError: when there are no such files, or what is asked for is not there.
        BankError, ModelError: when bank and network do not belong together, or the network cannot be compiled.
        OutputError: when the file cannot be written.
    """
    path, form, progress = Path(path), form or Form(), progress or Silent()
    bank = read_bank(path)
    file = network_of(bank.fingerprint, path, model, progress)
    check_writable(Path(output), path, file.path, *file.beside)
    backbone = open_as(bank.fingerprint, path, file, Opening("cpu"))
    backbone.check_nonnegative(f"{UNNOTICED}; make {path} again with --rectify or --split")
    _check_channels(bank, path, backbone)
    head = backbone.head if form.cam else None
    names = names_for(head.classes, class_names).names if head else ()
    progress.start("compiling")
    made = compiled_bank(bank, file, *unsigned(file, bank.fingerprint.layer), form, head, names)
    rounds = Gram.of(bank.W).rounds if len(bank.W) else 0
    return _written(made, Path(output), file, backbone, bank, rounds, strict=not form.float16 and form.unroll is None)


def compile_fit(
    model: str | Path,
    output: str | Path,
    k: int = 4,
    *,
    layer: str | None = None,
    preprocessing: Preprocessing | None = None,
    sign: Sign = "keep",
    resize: Resize | None = None,
    form: Form | None = None,
    progress: Progress | None = None,
) -> Written:
    """Writes a network with the factorization itself as one ONNX file: pictures in; `W`, `H` and heat maps out.

    What was made is compared with the Python pipeline on six random pictures before it is written.

    Args:
        model: an ONNX file.
        output: the file to write.
        k: concepts to find.
        layer, preprocessing, sign: see `Backbone.open`.
        resize: how large pictures should be, which the file says of itself; 224 x 224 by default.
        form: opset and float16; what else it says is of banks.
        progress: follows the stages.

    Raises:
        UsageError, ModelError, OutputError: as `compile_bank`; also where activations can be negative.
    """
    form, progress = form or Form(), progress or Silent()
    file = load_model(model)
    check_writable(Path(output), file.path, *file.beside)
    backbone = Backbone.open(file, layer, device="cpu", preprocessing=preprocessing, sign=sign, threads=1)
    backbone.check_nonnegative(f"{UNNOTICED}; take another layer, or say what becomes of them: --rectify or --split")
    name, sign = unsigned(file, backbone.fingerprint.layer)
    progress.start("compiling")
    made = compiled_fit(file, name, sign, k, backbone.fingerprint, resize or Resize(), form)
    return _written(made, Path(output), file, backbone, None, 0, strict=not form.float16)


def _check_channels(bank: Bank, path: Path, backbone: Backbone) -> None:
    """Raises `BankError` where a bank is of other channels than its network gives."""
    side = (bank.resize or Resize()).pixels
    [(_, pixels)] = random_pictures([(backbone.fixed[1] or side, backbone.fixed[2] or side)])
    channels = backbone(pixels).shape[1]
    if channels != bank.W.shape[1]:
        raise BankError(f"{path}: has {bank.W.shape[1]} channels, and its network gives {channels}; make it again")


def _written(
    made: ModelProto, output: Path, file: ModelFile, backbone: Backbone, bank: Bank | None, rounds: int, *, strict: bool
) -> Written:
    """Compares and writes.

    Args:
        made: the compiled model.
        output: where it goes.
        file, backbone: the network.
        bank: None for a factorization.
        rounds: see `Written`.
        strict: whether a difference is an error: it is one where nothing was asked for that makes differences.
    """
    data = made.SerializeToString(deterministic=True)
    session = session_of(made, file.path)
    both = Both(file.path, session, compiled_of(made, output), bank, backbone, in_half(made))
    sizes = both.sizes()
    verified = both.compared(random_pictures(sizes if bank is None else sizes[:1]))
    if strict and not verified.good:
        wrong = next(one for one in verified.compared if not one.good)
        what = f"{int(wrong.largest)} of {wrong.of} {wrong.output}" if wrong.of else wrong.output
        by = "" if wrong.of else f" by {wrong.largest:.2g}"
        raise ModelError(
            f"{file.path}: the compiled graph differs from the Python pipeline: {what}{by}; nothing was written; "
            "please report this network"
        )
    write_atomically(output, data)
    return Written(
        path=output,
        size=len(data),
        network_size=file.path.stat().st_size,
        inputs=tuple(session.get_inputs()[0].shape),
        outputs=tuple((one.name, tuple(one.shape)) for one in session.get_outputs()),
        verified=verified,
        rounds=rounds,
        assumed=bank is None and backbone.assumed,
    )
