"""An interpreter for the few pickle instructions that a state dict needs. It never imports, calls or builds anything.

Python's own unpickler executes what a file names, writes attributes of what it names (`BUILD`), reserves what a file
claims (`LONG_BINPUT`), and recurses in C when nested tuples are hashed. Restricting its `find_class` stops only the
first. So the standard library is only asked here how an instruction's argument is written (`pickletools.opcodes`), and
every instruction that is not listed is refused before its argument is read.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dff_onnx.errors import CheckpointError
from dff_onnx.export import tensors
from dff_onnx.export.tensors import Element, Storage, Tensor, shown

# ResNet-152 with AdamW's state takes 76 000 instructions. Hostile ones took at most 130 bytes of memory each.
MOST_INSTRUCTIONS = 1_000_000

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


@dataclass(frozen=True, slots=True)
class Name:
    """A Python object that a pickle names. It stays a name: nothing is imported."""

    module: str
    attribute: str


class _Mark:
    """Where a group of operands begins on the stack."""


def run_pickle(stream: io.BytesIO) -> Any:
    """Reads one pickle from the stream, up to its end, without executing it.

    Returns:
        Numbers, strings, tuples, lists, dicts, `Tensor`, `Storage` and `Inert`.

    Raises:
        CheckpointError: for an instruction or a name that a state dict does not need, or a damaged stream.
    """
    machine = _Machine()
    try:
        for _ in range(MOST_INSTRUCTIONS):
            instruction, argument = _next_instruction(stream)
            if instruction == "STOP":
                return machine.pop()
            machine.step(instruction, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(f"its pickle is damaged ({error})") from error
    raise CheckpointError(f"its pickle has more than {MOST_INSTRUCTIONS} instructions")


def _next_instruction(stream: io.BytesIO) -> tuple[str, Any]:
    code = stream.read(1)
    if not code:
        raise CheckpointError("its pickle has no end; it is cut off, download or save it again")
    if code not in _OPCODES:
        name = _REFUSED.get(code, "none that exists")
        raise CheckpointError(f"its pickle has an instruction that no state_dict needs ({name}); nothing of it was run")
    opcode = _OPCODES[code]
    if opcode.name == "GLOBAL":  # two lines; the standard library's reader would look for escapes in them
        return opcode.name, tuple(stream.readline().removesuffix(b"\n").decode() for _ in range(2))
    return opcode.name, opcode.arg.reader(stream) if opcode.arg else None


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._unpacked = 0

    def step(self, instruction: str, argument: Any) -> None:
        if instruction in _LITERALS:
            self.push(argument)
        elif instruction in _CONSTANTS:
            self.push(_CONSTANTS[instruction]())
        else:
            _INSTRUCTIONS[instruction](self, argument)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def nothing(self, _argument: Any) -> None:
        """PROTO and FRAME say only how the stream is written."""

    def memoize(self, argument: Any) -> None:
        self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]

    def recall(self, argument: Any) -> None:
        self.push(self._memo[argument])

    def tuple_of_last(self, size: int) -> None:
        items = tuple(self.pop() for _ in range(size))
        self.push(items[::-1])

    def append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise CheckpointError("its pickle appends to something that is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise CheckpointError("its pickle sets an item of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing anything else may take exponential time or overflow the stack (nested tuples).
            if type(key) not in (str, int):
                raise CheckpointError(f"its pickle has a dict with a key that is a {type(key).__name__}")
            target[key] = value

    def name(self, argument: Any) -> None:
        """GLOBAL; the argument is a module and a name in it."""
        self.push(_allowed(*argument))

    def name_on_stack(self, _argument: Any) -> None:
        """STACK_GLOBAL."""
        attribute, module = self.pop(), self.pop()
        if type(module) is not str or type(attribute) is not str:
            raise CheckpointError("its pickle names a Python object by something that is no text")
        self.push(_allowed(module, attribute))

    def apply(self, _argument: Any) -> None:
        """REDUCE and NEWOBJ: what would be a call."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise CheckpointError("its pickle calls something that is no function")
        if function.attribute == "OrderedDict":
            self.push({})
            self.set_items(self._pairs(arguments))
        elif (function.module, function.attribute) in _FUNCTIONS:
            self.push(_FUNCTIONS[function.module, function.attribute](arguments))
        else:
            raise CheckpointError(f"its pickle calls {function.module}.{function.attribute}, which is no function")

    def _pairs(self, arguments: tuple[Any, ...]) -> list[Any]:
        """Python 2 passed an ordered dict's items as a list of pairs."""
        if not arguments:
            return []
        (pairs,) = arguments
        # A short loop of instructions could unpack one long list again and again.
        self._unpacked += len(pairs)
        if type(pairs) is not list or self._unpacked > MOST_INSTRUCTIONS:
            raise CheckpointError("its pickle makes an ordered dict from something that is no list of pairs")
        return [part for key, value in pairs for part in (key, value)]

    def build(self, _argument: Any) -> None:
        """BUILD sets attributes; a state dict has only `_metadata` there, which nobody needs."""
        self.pop()
        if type(self._stack[-1]) not in (dict, Inert):
            raise CheckpointError("its pickle sets attributes of something that has none")

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


def _viewed(whole: Storage, view: Any) -> Storage:
    """A part of a storage, `(key, offset, length)`: old versions of PyTorch saved such."""
    _, offset, length = view
    if not (type(offset) is int and type(length) is int and 0 <= offset <= offset + length <= whole.length):
        raise CheckpointError(f"a part of storage {shown(whole.key)} leaves it")
    return Storage(whole.key, whole.element, length, offset)


def _allowed(module: str, attribute: str) -> Name:
    known = (module, attribute) in _FUNCTIONS or (module, attribute) == ("collections", "OrderedDict")
    if known or (module in ("torch", "torch.storage") and attribute in ELEMENTS):
        return Name(module, attribute)
    raise CheckpointError(
        f"its pickle names the Python object {shown(module + '.' + attribute)}, which a file of weights does not need; "
        "nothing of it was run. If it is a whole network saved by torch.save(network), save its state_dict() instead"
    )


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

# fmt: off
_LITERALS = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING",
})
# fmt: on
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.nothing,
    "FRAME": _Machine.nothing,
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of_last(1),
    "TUPLE2": lambda machine, _: machine.tuple_of_last(2),
    "TUPLE3": lambda machine, _: machine.tuple_of_last(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.apply,
    "NEWOBJ": _Machine.apply,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.storage,
}

_KNOWN = _LITERALS | _CONSTANTS.keys() | _INSTRUCTIONS.keys() | {"STOP"}
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes if opcode.name in _KNOWN}
_REFUSED = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes if opcode.name not in _KNOWN}
