"""What a command's MODEL means: an ONNX file, the embedded backbone, or a card whose network is made on first use."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from onnx import helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.graph import metadata_of
from dff_onnx.backbone.model_file import load_model
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.export.architectures import ARCHITECTURES, network
from dff_onnx.export.exporter import OPSET, export_file
from dff_onnx.files import write_atomically
from dff_onnx.progress import Progress, Silent
from dff_onnx.zoo.cache import cache_folder, locked
from dff_onnx.zoo.card import Card, cards, read_card
from dff_onnx.zoo.download import download, is_complete


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A network that can be opened.

    Attributes:
        path: the ONNX file.
        layer: the layer asked for, under the name that the file has for it; None for the file's own default.
    """

    path: Path
    layer: str | None


def find_model(
    model: str,
    layer: str | None = None,
    *,
    card: str | Path | None = None,
    classifier: bool = False,
    progress: Progress | None = None,
) -> FoundModel:
    """The file that a command's MODEL means, made on first use where it is a card's name.

    Args:
        model: a path to an ONNX file or to a card (`*.toml`), `compact`, or the name of a card (`vgg19`).
        layer: of the network.
        card: a user's own card, in place of `model`.
        classifier: of a card, the whole network with its classifier; the layer is then the one in front of the head.
        progress: follows the download.

    Raises:
        UsageError: when it is nothing of these.
        ModelError: when a card cannot be used.
        NetworkError, OutputError: when weights cannot be fetched or kept.

    >>> find_model("compact").path.name, str(find_model("own.onnx", "relu5").path)
    ('compact.onnx', 'own.onnx')
    """
    if card is not None:
        return found_by_card(read_card(card), layer, progress, classifier)
    is_file = model.endswith(".onnx") or Path(model).name != model or Path(model).is_file()
    if is_file and not model.endswith(".toml"):
        return FoundModel(Path(model), layer)
    return found_by_card(card_named(model), layer, progress, classifier)


def card_named(name: str) -> Card:
    """The card of that name, or in that file (`*.toml`).

    Raises:
        UsageError: when there is none.
        ModelError: when it cannot be used.
    """
    if name.endswith(".toml"):
        return read_card(name)
    known = cards()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"{name!r} is no file and no network that is known by name; {meant}`dff-onnx models list` has those; others "
        "are given as an ONNX file or a card (.toml)"
    )


def found_by_card(
    card: Card, layer: str | None = None, progress: Progress | None = None, classifier: bool = False
) -> FoundModel:
    """The network of a card: from the cache, or downloaded and exported now.

    Raises:
        UsageError, ModelError, NetworkError, OutputError: see `find_model`.
    """
    if layer and card.architecture in ARCHITECTURES:
        layer = network(card.architecture).aliases.get(layer, layer)
    path = onnx_file(card, classifier)
    if not path.is_file():
        _make(card, path, progress or Silent(), classifier)
    return FoundModel(path, layer if classifier else layer or card.layer)


def weights_file(card: Card) -> Path:
    """Where a card's weights are kept, or would be."""
    return cache_folder() / "weights" / (card.weights.file_name if card.weights else "")


def onnx_file(card: Card, classifier: bool = False) -> Path:
    """Where a card's network is kept as ONNX, or would be. Another card, layer or exporter has another name."""
    if card.weights is None:
        return embedded_model()
    made_of = [card.architecture, card.layer, card.weights.sha256, card.preprocessing.to_dict(), OPSET]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    what = "classifier" if classifier else card.layer.replace("/", ".")[:80]
    return cache_folder() / "models" / f"{card.name}-{what}-{digest[:8]}.onnx"


def _make(card: Card, path: Path, progress: Progress, classifier: bool) -> None:
    assert card.weights is not None, "the embedded backbone is never made"
    weights = weights_file(card)
    with locked(path, lambda: progress.start("waiting for another process")):
        if path.is_file():  # the other process made it
            return
        with locked(weights, lambda: progress.start("waiting for another process")):
            if not weights.is_file():
                download(card.weights, weights, progress)
            elif not is_complete(weights, card.weights):
                raise ModelError(
                    f"{weights}: is not the file of {card.weights.url} (its sha256 does not begin with "
                    f"{card.weights.sha256}); remove it, and it will be downloaded"
                )
        progress.start("exporting")
        if weights.suffix == ".onnx":
            _cut(card, weights, path, classifier)
        elif classifier:
            export_file(card.architecture, weights, path, (), card.preprocessing, classifier=True)
        else:
            export_file(card.architecture, weights, path, (card.layer,), card.preprocessing)


def _cut(card: Card, weights: Path, path: Path, classifier: bool) -> None:
    file = load_model(weights)
    said = None if metadata_of(file.model, weights) else card.preprocessing
    made = cut(file, [card.layer], preprocessing=said)
    if classifier:  # all of it, with what the cut says of its preprocessing
        helper.set_model_props(file.model, {entry.key: entry.value for entry in made.metadata_props})
        made = file.model
    write_atomically(path, made.SerializeToString(deterministic=True))
