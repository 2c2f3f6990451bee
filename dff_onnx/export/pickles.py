"""What a state dict's pickle may name: tensors and their storages, as names and figures; see `inert_pickle`."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dff_onnx.errors import CheckpointError
from dff_onnx.export import tensors
from dff_onnx.export.tensors import Element, Storage, Tensor, shown
from dff_onnx.inert_pickle import Name, PickleMachine

ELEMENTS: dict[str, Element] = {
    "FloatStorage": tensors.FLOAT32,
    "DoubleStorage": tensors.FLOAT64,
    "HalfStorage": tensors.FLOAT16,
    "BFloat16Storage": tensors.BFLOAT16,
    "LongStorage": tensors.INT64,
    "IntStorage": tensors.INT32,
    "ShortStorage": tensors.INT16,
    "CharStorage": tensors.INT8,
    "ByteStorage": tensors.UINT8,
    "BoolStorage": tensors.BOOL,
}


@dataclass(frozen=True, slots=True)
class Inert:
    """What a file of weights may mention beside its tensors and nobody reads (training arguments, a device)."""

    name: str


def run_pickle(stream: io.BytesIO) -> Any:
    """Reads one pickle from the stream, up to its end, without executing it.

    Returns:
        Numbers, strings, tuples, lists, dicts, `Tensor`, `Storage` and `Inert`.

    Raises:
        CheckpointError: for an instruction or a name that a state dict does not need, or a damaged stream.
    """
    return _TorchMachine().run(stream)


class _TorchMachine(PickleMachine):
    error = CheckpointError
    needed_by = "state_dict needs"

    def allowed(self, module: str, attribute: str) -> Name:
        known = (module, attribute) in _FUNCTIONS or (module, attribute) == ("collections", "OrderedDict")
        if known or (module in ("torch", "torch.storage") and attribute in ELEMENTS):
            return Name(module, attribute)
        raise CheckpointError(
            f"its pickle names the Python object {shown(module + '.' + attribute)}, which a file of weights does not "
            "need; nothing of it was run. If it is a whole network saved by torch.save(network), save its state_dict() "
            "instead"
        )

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        if (function.module, function.attribute) not in _FUNCTIONS:
            return super().call(function, arguments)
        return _FUNCTIONS[function.module, function.attribute](arguments)

    def set_state(self, target: Any, state: Any) -> None:
        """A state dict has only `_metadata` there, which nobody needs."""
        if type(target) not in (dict, Inert):
            super().set_state(target, state)

    def storage(self, _argument: Any) -> None:
        """BINPERSID: `("storage", type, key, device, length)`, in old files with a view or None behind."""
        persistent = self.pop()
        if type(persistent) is not tuple or len(persistent) not in (5, 6) or persistent[0] != "storage":
            raise CheckpointError("its pickle refers to something outside that is no storage")
        _, kind, key, _, length, *view = persistent
        if not isinstance(kind, Name) or kind.attribute not in ELEMENTS or type(key) is not str:
            raise CheckpointError("its pickle has a storage of a type that is not known")
        if type(length) is not int or not 0 <= length < 2**48:
            raise CheckpointError(f"storage {shown(key)} claims a length that is negative, huge, or none")
        whole = Storage(key, ELEMENTS[kind.attribute], length)
        self.push(_viewed(whole, view[0]) if view and view[0] is not None else whole)

    instructions = {"BINPERSID": storage}  # noqa: RUF012


def _viewed(whole: Storage, view: Any) -> Storage:
    """A part of a storage, `(key, offset, length)`: old versions of PyTorch saved such."""
    _, offset, length = view
    if not (type(offset) is int and type(length) is int and 0 <= offset <= offset + length <= whole.length):
        raise CheckpointError(f"a part of storage {shown(whole.key)} leaves it")
    return Storage(whole.key, whole.element, length, offset)


def _rebuild_tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, shape, strides, *rest = arguments
    if not isinstance(storage, Storage):
        raise CheckpointError("its pickle has a tensor without a storage")
    if len(rest) > 2 and rest[2]:
        raise CheckpointError("it has a tensor that is stored negated or conjugated; save tensor.contiguous()")
    return tensors.tensor(storage, offset, shape, strides)


def _first(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


_FUNCTIONS: dict[tuple[str, str], Callable[[tuple[Any, ...]], Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch", "Size"): _first,
    ("torch", "device"): lambda _: Inert("device"),
    # torchvision's training scripts save their arguments beside the weights.
    ("argparse", "Namespace"): lambda _: Inert("Namespace"),
}
