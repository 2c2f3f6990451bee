"""Opening a network for a run: by options, or as a fingerprint says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dff_onnx.backbone.cut import SUFFIXES, Sign
from dff_onnx.backbone.graph import default_layer, metadata_of
from dff_onnx.backbone.head import usual_head
from dff_onnx.backbone.image_input import settled
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.runtime import Accelerator, Device
from dff_onnx.backbone.session import Backbone
from dff_onnx.backbone.tail import Tail
from dff_onnx.concepts.bank import BANK, Bank, Holder, check_fingerprint
from dff_onnx.errors import ModelError
from dff_onnx.progress import Progress
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.zoo.by_digest import find_by_digest


@dataclass(frozen=True, slots=True)
class Opening:
    """How a network is opened; see `Backbone.open`."""

    device: Device = "auto"
    preprocessing: Preprocessing | None = None
    accelerator: Accelerator | None = None
    gridless: bool = False

    def backbone(self, file: ModelFile, layer: str, sign: Sign = "keep") -> Backbone:
        """Up to a layer, for calls that run side by side."""
        return Backbone.open(
            file,
            layer,
            device=self.device,
            preprocessing=self.preprocessing,
            sign=sign,
            threads=1,
            accelerator=self.accelerator,
            gridless=self.gridless,
        )

    def tail(self, file: ModelFile, layer: str, answer: str | None = None) -> Tail:
        """From a layer on, for calls that run side by side."""
        return Tail.open(file, layer, answer, self.device, 1, self.accelerator)


def unsigned(file: ModelFile, layer: str) -> tuple[str, Sign]:
    """The tensor that features come from, and what became of their negative values; see `Backbone.open`.

    Args:
        file: the network.
        layer: as a fingerprint names it.
    """
    tensors = {name for node in file.model.graph.node for name in node.output}
    signs: tuple[Sign, ...] = ("rectify", "split")
    for sign in signs:
        bare = layer.removesuffix(f"_{SUFFIXES[sign]}")
        if layer not in tensors and bare in tensors:
            return bare, sign
    return layer, "keep"


def open_for_bank(
    bank: Bank,
    path: str | Path,
    model: str | Path | None = None,
    opening: Opening | None = None,
    progress: Progress | None = None,
) -> Backbone:
    """Opens a network as the concepts of a bank need it: at their layer, with their preprocessing and sign.

    Args:
        bank: as read.
        path: of the bank.
        model: the ONNX file; by default it is looked for by its sha256, see `dff_onnx.zoo.by_digest`.
        opening: device; what it says of preprocessing is not heeded.
        progress: follows the search.

    Raises:
        BankError: when the bank is of another network, naming both fingerprints.
        ModelError: when the network is not found, or as `Backbone.open`.
        DeviceError, UsageError: as `Backbone.open`.
    """
    file = network_of(bank.fingerprint, path, model, progress)
    return open_as(bank.fingerprint, path, file, opening)


def network_of(
    wanted: Fingerprint,
    path: str | Path,
    model: str | Path | None = None,
    progress: Progress | None = None,
    holder: Holder = BANK,
) -> ModelFile:
    """The network of a fingerprint: the first half of `open_for_bank`, for whatever has one.

    Args:
        wanted: the fingerprint.
        path: of the file that has it.
        model, progress: see `open_for_bank`.
        holder: what the file is; its error takes BankError's place.

    Raises:
        BankError, ModelError, UsageError: as `open_for_bank`.
    """
    model = find_by_digest(wanted.model_sha256, path, progress) if model is None else model
    file = load_model(model)
    if file.sha256 != wanted.model_sha256:
        check_fingerprint(wanted, _usual(file, wanted), path, str(model), holder)
    return file


def open_as(
    wanted: Fingerprint, path: str | Path, file: ModelFile, opening: Opening | None = None, holder: Holder = BANK
) -> Backbone:
    """The second half: a network opened as a fingerprint says; arguments and errors as `network_of`."""
    # A file that says its preprocessing is asked; of another one the fingerprint knows what was said then.
    silent = metadata_of(file.model, file.path) is None and wanted.preprocessing.dtype == "float32"
    opening = replace(opening or Opening(), preprocessing=wanted.preprocessing if silent else None)
    backbone = opening.backbone(file, *unsigned(file, wanted.layer))
    check_fingerprint(wanted, backbone.fingerprint, path, str(file.path), holder)
    return backbone


def _usual(file: ModelFile, wanted: Fingerprint) -> Fingerprint:
    """Of a network that is not the wanted one: as it would be opened where nobody says how."""
    metadata = metadata_of(file.model, file.path)
    preprocessing = metadata.preprocessing if metadata else settled(file.model, file.path, None)
    return Fingerprint(file.sha256, _usual_layer(file) or wanted.layer, preprocessing)


def _usual_layer(file: ModelFile) -> str | None:
    try:
        return default_layer(file.model, file.path)
    except ModelError:
        head = usual_head(file)
        return head.features if head else None
