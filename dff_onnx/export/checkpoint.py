"""A file of weights, in any of three formats, as named tensors. No code in it can run."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export.safetensors import read_safetensors, safetensors_bytes
from dff_onnx.export.tensors import Contents, Tensor, shown, values
from dff_onnx.export.torch_legacy import read_torch_legacy
from dff_onnx.export.torch_zip import MAGIC as ZIP_MAGIC
from dff_onnx.export.torch_zip import read_torch_zip

# Where training scripts put the state dict beside epoch, optimizer and arguments.
WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
# What DataParallel, Lightning and torch.compile put before every name.
PREFIXES = ("module.", "model.", "_orig_mod.")
DEEPEST = 4


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors in a file that is open; see `open_checkpoint`.

    Attributes:
        path: the file.
        sha256: of the whole file.
    """

    path: Path
    sha256: str
    _tensors: Mapping[str, Tensor]
    _contents: Contents

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's name, without wrappers and prefixes, and its shape."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def array(self, name: str) -> NDArray[Any]:
        """A tensor's values, contiguous, float16/32/64 as stored (bfloat16 as float32).

        Raises:
            CheckpointError: when they are not floating-point or not all there.
        """
        tensor = self._tensors[name]
        try:
            return values(tensor, self._contents.read(tensor.storage), big_endian=self._contents.big_endian)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {shown(name)}: {error}") from error


@contextmanager
def open_checkpoint(path: str | Path) -> Iterator[Checkpoint]:
    """Opens a `.pth` of `torch.save` (zip or legacy) or a `.safetensors`; the content decides, not the name.

    The state dict may lie in `state_dict` or `model` beside other things, its names may begin with `module.`.

    Raises:
        UsageError: when there is no such file.
        CheckpointError: when it cannot be read safely, or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give a .pth or .safetensors file of weights")
    try:
        file = path.open("rb")
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be opened ({error.strerror})") from error
    with file:
        yield _checkpoint(path, file)


def checkpoint_of(arrays: Mapping[str, NDArray[np.float32]], path: Path) -> Checkpoint:
    """Arrays as if they had been read from a `.safetensors` of that name: what was made here exports the same way.

    >>> checkpoint_of({"fc.bias": np.zeros(3, np.float32)}, Path("new.safetensors")).shapes
    {'fc.bias': (3,)}
    """
    return _checkpoint(path, io.BytesIO(safetensors_bytes(arrays)))


def _checkpoint(path: Path, file: BinaryIO) -> Checkpoint:
    try:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary file will do
        contents = _contents(file)
        return Checkpoint(path, sha256, _without_prefixes(_state_dict(contents.tree)), contents)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error


def _contents(file: BinaryIO) -> Contents:
    file.seek(0)
    begin = file.read(16)
    if begin.startswith(ZIP_MAGIC):
        return read_torch_zip(file)
    if begin[8:9] == b"{":
        return read_safetensors(file)
    if begin[:1] == b"\x80":  # every binary pickle begins so
        return read_torch_legacy(file)
    raise CheckpointError(
        f"is no .pth of torch.save and no .safetensors (it begins with {begin!r}); download it again, "
        "or save network.state_dict() by torch.save"
    )


def _state_dict(tree: Any) -> dict[str, Tensor]:
    """The nearest dict that holds tensors: the object itself or what it has under the usual names."""
    for _ in range(DEEPEST):
        if not isinstance(tree, dict):
            break
        if found := {name: value for name, value in tree.items() if type(name) is str and isinstance(value, Tensor)}:
            return found
        tree = next((tree[name] for name in WRAPPERS if isinstance(tree.get(name), dict)), None)
    raise CheckpointError(f"holds no dict of tensors, nor has one under {', '.join(WRAPPERS)}; save the state_dict")


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for _ in range(DEEPEST):
        for prefix in PREFIXES:
            stripped = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            if len(stripped) == len(tensors):
                tensors = stripped
    return tensors
