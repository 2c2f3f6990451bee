"""The only door through which ONNX files come in: read, checked, nothing hostile followed.

ONNX Runtime opens external data wherever a file's name points, hard links included; so tensors are read here, from the
model's own folder alone, and what ONNX Runtime gets is complete in itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.inliner import inline_local_functions

from dff_onnx.backbone.image_input import fill_inputs, take_float32
from dff_onnx.errors import ModelError, UsageError, first_line

# Protocol buffers hold no more; a backbone is a fraction of it.
LARGEST = 2**31 - 1

# Domains whose operators ONNX Runtime brings along.
KNOWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}

# What people pass by mistake, by its first bytes.
_MISTAKES = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (b"<", "looks like HTML or XML, as a download page does; download the file itself"),
    (b"{", "looks like JSON"),
    (b"PK\x03\x04", "is a zip archive, as a PyTorch checkpoint is; make an ONNX file with `dff-onnx export`"),
    (b"\x80\x02", "is a pickle, as an old PyTorch checkpoint is; make an ONNX file with `dff-onnx export`"),
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file that passed the checks.

    Attributes:
        path: where it is.
        model: its contents, external tensors included; its image input takes uint8 or float32.
        sha256: of the file, and of the external files it names, in order.
        beside: the external files.
    """

    path: Path
    model: ModelProto
    sha256: str
    beside: frozenset[Path] = frozenset()


def load_model(path: str | Path, constants: Mapping[str, float] = MappingProxyType({})) -> ModelFile:
    """Reads an ONNX file.

    Local functions are written out, and images of float16 or float64 become float32 at the input.

    Args:
        path: the file; external data must lie in its folder, in files that are no links.
        constants: values of inputs beside the image, which are then inputs no more.

    Raises:
        UsageError: when there is no such file, or no such input.
        ModelError: when it is not ONNX, is damaged, or refers to what it may not.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: {'is not a file' if path.exists() else 'there is no such file'}; give an ONNX model")
    data = _read(path)
    model = _parse(data, path)
    digest, beside = hashlib.sha256(data), set[Path]()
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            file = _harmless(_fields(tensor).get("location", ""), path)
            content = _external(tensor, file, path)
            beside.add(file)
            digest.update(content)
            tensor.raw_data = content
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    _check(model, path)
    model = _without_functions(model, path)
    fill_inputs(model, constants, path)
    take_float32(model)
    return ModelFile(path, model, digest.hexdigest(), frozenset(beside))


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size == 0:
            raise ModelError(f"{path}: is empty; copy or download it again")
        if size > LARGEST:
            raise ModelError(f"{path}: has {size} bytes, and an ONNX file has less than 2 GiB")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(data: bytes, path: Path) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{path}: {_mistake(data) or 'is not an ONNX file, or is cut short'}") from error
    if not _texts_are_utf8(model):
        raise ModelError(f"{path}: is damaged: a name in it is no UTF-8; copy or download it again")
    if not model.graph.node or not model.ir_version:
        raise ModelError(f"{path}: {_mistake(data) or 'is not an ONNX file: it holds no network'}")
    return model


def _texts_are_utf8(message: Message) -> bool:
    """Whether every text is one: what protocol buffers cannot decode they hand out as bytes, or raise."""
    try:
        for field, value in message.ListFields():
            if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
                for part in [value] if isinstance(value, Message | str | bytes) else value:
                    if isinstance(part, bytes) or (isinstance(part, Message) and not _texts_are_utf8(part)):
                        return False
    except UnicodeDecodeError:
        return False
    return True


def _mistake(data: bytes) -> str:
    start = data[:64].lstrip()
    return next((what for prefix, what in _MISTAKES if start.startswith(prefix)), "")


def _check(model: ModelProto, path: Path) -> None:
    for opset in model.opset_import:
        if opset.domain not in KNOWN_DOMAINS | {function.domain for function in model.functions}:
            raise ModelError(f"{path}: uses operators of {opset.domain!r}, which ONNX Runtime does not bring along")
        newest = onnx.defs.onnx_opset_version()
        if opset.domain in ("", "ai.onnx") and opset.version > newest:
            raise ModelError(
                f"{path}: has opset {opset.version}, the installed onnx reads up to {newest}; update onnx and "
                "onnxruntime, or export the model with an older opset"
            )
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in _all_tensors(model)):
        raise ModelError(f"{path}: keeps tensors of an inner graph in another file, which is not supported")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path}: is not valid ONNX: {first_line(error)}") from error
    except (ValueError, RuntimeError, DecodeError) as error:
        raise ModelError(f"{path}: cannot be checked: {first_line(error)}") from error


def _without_functions(model: ModelProto, path: Path) -> ModelProto:
    """Exporters of PyTorch may keep modules as functions; layers are found in the graph alone."""
    if not model.functions:
        return model
    try:
        inlined: ModelProto = inline_local_functions(model)
    except (RuntimeError, ValueError, DecodeError) as error:
        raise ModelError(f"{path}: its functions cannot be written out: {first_line(error)}") from error
    return inlined


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices


def _all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Wherever a tensor can hide: initializers, constants, inner graphs, functions."""
    yield from _tensors(model.graph)
    for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
        yield from _of_node(node)


def _of_node(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from _of_attribute(attribute)


def _of_attribute(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield attribute.t
    yield from attribute.tensors
    for graph in (attribute.g, *attribute.graphs):
        yield from _tensors(graph)
        for node in graph.node:
            yield from _of_node(node)


def _fields(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _external(tensor: TensorProto, file: Path, model: Path) -> bytes:
    """The bytes of a tensor that lies in another file, which is known to be harmless."""
    fields = _fields(tensor)
    try:
        size = file.stat().st_size
        offset = int(fields.get("offset", 0))
        length = int(fields.get("length", size - offset))
        if offset < 0 or length < 0 or offset + length > size or length > LARGEST:
            raise ModelError(
                f"{model}: tensor {tensor.name!r} asks for bytes {offset} to {offset + length} of {file.name}, "
                f"which has {size}; copy or download the model again"
            )
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)
    except OSError as error:
        raise ModelError(f"{model}: its external data {file.name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{model}: tensor {tensor.name!r} has an external offset that is no number") from error


def _harmless(location: str, model: Path) -> Path:
    pure = PurePosixPath(location)
    outside = not location or "\0" in location or pure.is_absolute() or ".." in pure.parts
    if outside or PureWindowsPath(location).drive or "\\" in location:
        raise ModelError(f"{model}: names external data outside its own folder ({location!r}); this is refused")
    file = model.parent
    for part in pure.parts:
        file = file / part
        if file.is_symlink():
            raise ModelError(f"{model}: its external data {location!r} is a link; copy the file itself there")
    if not file.is_file():
        raise ModelError(f"{model}: its external data {location!r} is missing; put it beside the model")
    if file.stat().st_nlink > 1:
        raise ModelError(f"{model}: its external data {location!r} is a hard link; copy the file itself there")
    return file
