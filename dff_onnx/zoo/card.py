"""A network's card: what it is, where its weights come from, which layer to take, what its pixels must look like.

A card is a TOML file; `models/` has those that travel with the program, and a user's own reads the same:

    name = "vgg19"
    title = "VGG-19"                 # for people
    architecture = "vgg19"           # one that can be exported; left out where the weights are an ONNX file
    layer = "relu5_4"                # the default, and the deepest that is kept
    layers = ["relu5_1", ...]        # those worth naming; may be left out
    licence = "of the weights"
    source = "where all this is said"

    [weights]
    url = "https://.../vgg19-dcbb9e9d.pth"
    sha256 = "dcbb9e9d"              # 8 to 64 hexadecimal digits: the beginning will do, as in official file names
    mib = 548.051                    # size, for people and as a limit; may be left out

    [preprocessing]                  # (x * scale - mean) / std of pixels 0..255; what is left out is ImageNet's
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    scale = 0.00392156862745098
    channels = "RGB"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dff_onnx.backbone.embedded import NAME, models_folder
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.export.architectures import ARCHITECTURES
from dff_onnx.records import Preprocessing

# Longer cards are no cards.
LARGEST = 2**16

_TEXTS = ("name", "title", "architecture", "layer", "licence", "source")
_ARITHMETIC = ("mean", "std", "scale", "channels")


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights on a server.

    Attributes:
        url: http or https.
        sha256: its beginning, 8 to 64 hexadecimal digits in lower case.
        mib: size in MiB, 0 where the card does not say it.
    """

    url: str
    sha256: str
    mib: float = 0.0

    @property
    def file_name(self) -> str:
        """What the file is called in the cache: its own name, with the digest's beginning where that is not in it."""
        name = unquote(urlsplit(self.url).path).rpartition("/")[2]
        short = self.sha256[:8]
        return name if short in name else f"{short}-{name}"


@dataclass(frozen=True, slots=True)
class Card:
    """See the module. Made by `read_card`.

    Attributes:
        path: of the card.
        name, title, architecture, layer, layers, licence, source: as the card says them; empty where it does not.
        weights: None for the backbone that travels with the program.
        preprocessing: what the network was trained on; the exported file takes uint8 pixels and does it itself.
    """

    path: Path
    name: str
    title: str
    architecture: str
    layer: str
    layers: tuple[str, ...]
    licence: str
    source: str
    weights: Weights | None
    preprocessing: Preprocessing

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        weights = self.weights
        return {
            **{name: getattr(self, name) for name in _TEXTS},
            "layers": list(self.layers),
            "weights": {"url": weights.url, "sha256": weights.sha256, "mib": weights.mib} if weights else None,
            "preprocessing": self.preprocessing.to_dict(),
        }


def cards() -> dict[str, Card]:
    """The cards that travel with the program, by name.

    >>> cards()["vgg19"].layer
    'relu5_4'
    """
    found = (read_card(path) for path in sorted(models_folder().glob("*.toml")))
    return {card.name: card for card in found}


def read_card(path: str | Path) -> Card:
    """Reads a card.

    Raises:
        UsageError: when there is no such file.
        ModelError: when it says something that cannot be, or leaves out what is needed; the sentence names it.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give a card (docs/models.md tells what is in one)")
    try:
        return _card(path, tomllib.loads(_text(path)))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError, UsageError) as error:
        raise ModelError(f"{path}: is no card of a network: {error}") from error


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has more than {LARGEST} bytes")
    return path.read_text(encoding="utf-8")


def _card(path: Path, said: Mapping[str, Any]) -> Card:
    _refuse_unknown(said, {*_TEXTS, "layers", "weights", "preprocessing"}, "")
    texts = {name: _text_of(said, name) for name in _TEXTS}
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", texts["name"]):
        raise ValueError("its name must be of letters, digits, '_', '-' and '.'")
    if not texts["layer"]:
        raise ValueError("it has no layer")
    weights = _weights(said.get("weights"))
    if weights is None and texts["name"] != NAME:
        raise ValueError("it has no [weights]")
    _check_architecture(texts["architecture"], weights)
    layers = said.get("layers", [texts["layer"]])
    if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
        raise ValueError("layers must be a list of names")
    return Card(
        path=path, layers=tuple(layers), weights=weights, preprocessing=_preprocessing(said.get("preprocessing")),
        **texts,
    )  # fmt: skip


def _text_of(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name} must be text of one line")
    return value


def _weights(said: Any) -> Weights | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise ValueError("weights must be a table")
    _refuse_unknown(said, {"url", "sha256", "mib"}, "weights.")
    url, sha256, mib = said.get("url", ""), said.get("sha256", ""), said.get("mib", 0.0)
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"weights.url must be of ASCII, with other letters as %XX, found {url!r}")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"weights.url must begin with https:// or http://, found {url!r}")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{8,64}", sha256):
        raise ValueError("weights.sha256 must be the first 8 to 64 hexadecimal digits, in lower case")
    if not isinstance(mib, int | float) or not 0 <= mib < 2**20:
        raise ValueError(f"weights.mib must be a size in MiB, found {mib!r}")
    made = Weights(url, sha256, float(mib))
    if not re.fullmatch(r"[\w.-]{1,200}\.[a-z]+", made.file_name):
        raise ValueError(f"weights.url must end in a plain file name, found {made.file_name!r}")
    return made


def _check_architecture(architecture: str, weights: Weights | None) -> None:
    if weights is None or weights.file_name.endswith(".onnx"):
        return
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture is {architecture!r}, and there are {', '.join(ARCHITECTURES)}; for other networks put an "
            "ONNX file on the server"
        )


def _preprocessing(said: Any) -> Preprocessing:
    if said is None:
        return Preprocessing()
    if not isinstance(said, dict):
        raise ValueError("preprocessing must be a table")
    _refuse_unknown(said, set(_ARITHMETIC), "preprocessing.")
    return Preprocessing.from_dict(Preprocessing().to_dict() | said)


def _refuse_unknown(said: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(said) - known):
        raise ValueError(f"it says {where}{unknown[0]}, which no card has; there are {', '.join(sorted(known))}")
