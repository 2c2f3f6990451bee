"""An interpreter for the few pickle instructions that plain data needs. It never imports, calls or builds anything.

Python's own unpickler executes what a file names, writes attributes of what it names (`BUILD`), reserves what a file
claims (`LONG_BINPUT`), and recurses in C when nested tuples are hashed. Restricting its `find_class` stops only the
first. So the standard library is only asked here how an instruction's argument is written (`pickletools.opcodes`), and
every instruction that is not listed is refused before its argument is read. What a file may name, and what becomes of
it, says a subclass of `PickleMachine`.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dff_onnx.errors import RefusedError

# ResNet-152 with AdamW's state takes 76 000 instructions. Hostile ones took at most 130 bytes of memory each.
MOST_INSTRUCTIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class Name:
    """A Python object that a pickle names. It stays a name: nothing is imported."""

    module: str
    attribute: str


class _Mark:
    """Where a group of operands begins on the stack."""


class PickleMachine:
    """Reads one pickle of plain data: numbers, texts, tuples, lists, and dicts with plain keys.

    Attributes:
        error: the class of every refusal.
        needed_by: who needs the instructions that are known, as the end of a sentence.
        literals: instructions whose argument is a value.
        instructions: further ones of a subclass.
    """

    error: ClassVar[type[RefusedError]] = RefusedError
    needed_by: ClassVar[str] = "plain data needs"
    # fmt: off
    literals: ClassVar[frozenset[str]] = frozenset({
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
        "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING",
    })
    # fmt: on
    instructions: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {}

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._unpacked = 0
        known = self.literals | _CONSTANTS.keys() | _INSTRUCTIONS.keys() | self.instructions.keys() | {"STOP"}
        self._opcodes = {code: opcode for code, opcode in _OPCODES.items() if opcode.name in known}

    def run(self, stream: io.BytesIO) -> Any:
        """Reads one pickle from the stream, up to its end, without executing it.

        Raises:
            RefusedError: of the class `error`, for an instruction or a name that is not needed, or a damaged stream.
        """
        try:
            for _ in range(MOST_INSTRUCTIONS):
                instruction, argument = self._next_instruction(stream)
                if instruction == "STOP":
                    return self.pop()
                self.step(instruction, argument)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise self.error(f"its pickle is damaged ({error})") from error
        raise self.error(f"its pickle has more than {MOST_INSTRUCTIONS} instructions")

    def _next_instruction(self, stream: io.BytesIO) -> tuple[str, Any]:
        code = stream.read(1)
        if not code:
            raise self.error("its pickle has no end; it is cut off, download or save it again")
        if code not in self._opcodes:
            name = _OPCODES[code].name if code in _OPCODES else "none that exists"
            raise self.error(f"its pickle has an instruction that no {self.needed_by} ({name}); nothing of it was run")
        opcode = self._opcodes[code]
        if opcode.name == "GLOBAL":  # two lines; the standard library's reader would look for escapes in them
            return opcode.name, tuple(stream.readline().removesuffix(b"\n").decode() for _ in range(2))
        if opcode.name == "STRING":
            return opcode.name, self._quoted(stream.readline())
        return opcode.name, opcode.arg.reader(stream) if opcode.arg else None

    def _quoted(self, line: bytes) -> str:
        """A text as protocol 0 writes it, without escapes: the standard library's reader warns of wrong ones."""
        text = line.removesuffix(b"\n").decode("ascii")
        if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0] or "\\" in text:
            raise self.error("its pickle has a text that is not in quotes, or has escapes; save it by protocol 2")
        return text[1:-1]

    def allowed(self, module: str, attribute: str) -> Name:
        """What a name stands for; a subclass lets some pass."""
        if (module, attribute) == ("collections", "OrderedDict"):
            return Name(module, attribute)
        raise self.error(f"its pickle names the Python object {module + '.' + attribute!r:.100}; nothing of it was run")

    def call(self, function: Name, _arguments: tuple[Any, ...]) -> Any:
        """What stands in for the value of a call; a subclass knows some."""
        raise self.error(f"its pickle calls {function.module}.{function.attribute}, which is no function")

    def set_state(self, target: Any, state: Any) -> None:  # noqa: ARG002
        """BUILD sets attributes; a subclass knows of what."""
        raise self.error("its pickle sets attributes of something that has none")

    def step(self, instruction: str, argument: Any) -> None:
        """Does what one instruction says."""
        if instruction in self.literals:
            self.push(argument)
        elif instruction in _CONSTANTS:
            self.push(_CONSTANTS[instruction]())
        elif instruction in self.instructions:
            self.instructions[instruction](self, argument)
        else:
            _INSTRUCTIONS[instruction](self, argument)

    def push(self, value: Any) -> None:
        """Onto the stack."""
        self._stack.append(value)

    def pop(self) -> Any:
        """Off the stack."""
        return self._stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """A group of operands, in the order they were pushed."""
        items: list[Any] = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def nothing(self, _argument: Any) -> None:
        """PROTO and FRAME say only how the stream is written."""

    def memoize(self, argument: Any) -> None:
        """PUT and MEMOIZE: keeps what is on top."""
        self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]

    def recall(self, argument: Any) -> None:
        """GET."""
        self.push(self._memo[argument])

    def tuple_of_last(self, size: int) -> None:
        """TUPLE1 to TUPLE3."""
        items = tuple(self.pop() for _ in range(size))
        self.push(items[::-1])

    def append(self, items: list[Any]) -> None:
        """APPEND and APPENDS."""
        target = self._stack[-1]
        if type(target) is not list:
            raise self.error("its pickle appends to something that is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """SETITEM and SETITEMS."""
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise self.error("its pickle sets an item of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing anything else may take exponential time or overflow the stack (nested tuples).
            if type(key) not in (str, int):
                raise self.error(f"its pickle has a dict with a key that is a {type(key).__name__}")
            target[key] = value

    def name(self, argument: Any) -> None:
        """GLOBAL; the argument is a module and a name in it."""
        self.push(self.allowed(*argument))

    def name_on_stack(self, _argument: Any) -> None:
        """STACK_GLOBAL."""
        attribute, module = self.pop(), self.pop()
        if type(module) is not str or type(attribute) is not str:
            raise self.error("its pickle names a Python object by something that is no text")
        self.push(self.allowed(module, attribute))

    def apply(self, _argument: Any) -> None:
        """REDUCE and NEWOBJ: what would be a call."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise self.error("its pickle calls something that is no function")
        if function.attribute == "OrderedDict":
            self.push({})
            self.set_items(self._pairs(arguments))
        else:
            self.push(self.call(function, arguments))

    def _pairs(self, arguments: tuple[Any, ...]) -> list[Any]:
        """Python 2 passed an ordered dict's items as a list of pairs."""
        if not arguments:
            return []
        (pairs,) = arguments
        # A short loop of instructions could unpack one long list again and again.
        self._unpacked += len(pairs)
        if type(pairs) is not list or self._unpacked > MOST_INSTRUCTIONS:
            raise self.error("its pickle makes an ordered dict from something that is no list of pairs")
        return [part for key, value in pairs for part in (key, value)]

    def build(self, _argument: Any) -> None:
        """BUILD."""
        state = self.pop()
        self.set_state(self._stack[-1], state)


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_INSTRUCTIONS: dict[str, Callable[[PickleMachine, Any], None]] = {
    "PROTO": PickleMachine.nothing,
    "FRAME": PickleMachine.nothing,
    "MEMOIZE": PickleMachine.memoize,
    "BINPUT": PickleMachine.memoize,
    "LONG_BINPUT": PickleMachine.memoize,
    "BINGET": PickleMachine.recall,
    "LONG_BINGET": PickleMachine.recall,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of_last(1),
    "TUPLE2": lambda machine, _: machine.tuple_of_last(2),
    "TUPLE3": lambda machine, _: machine.tuple_of_last(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "GLOBAL": PickleMachine.name,
    "STACK_GLOBAL": PickleMachine.name_on_stack,
    "REDUCE": PickleMachine.apply,
    "NEWOBJ": PickleMachine.apply,
    "BUILD": PickleMachine.build,
}
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
