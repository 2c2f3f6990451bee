"""An ONNX file in, activations out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, cuda_present, from_cuda
from dff_onnx.backbone.cuda_graphs import CudaGraphs
from dff_onnx.backbone.cut import Sign, rows_model
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.graph import default_layer, has_grid, metadata_of, nonnegative_neighbours, resolve_layer
from dff_onnx.backbone.head import FoundHead, usual_head
from dff_onnx.backbone.image_input import settled
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.runtime import (
    Accelerator,
    Device,
    Session,
    create_session,
    device_of_session,
    runtime_errors,
)
from dff_onnx.errors import DeviceError, ModelError, UsageError, first_line
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.threads import available_cores

Axes = tuple[int | None, int | None, int | None]

# Each call takes memory for the network's inner activations: some 300 MB for four pictures in VGG-19.
MOST_WORKERS = 8


@dataclass(frozen=True)
class Backbone:
    """An ONNX network truncated at a layer, in a session. Made by `Backbone.open`; call it on pixels.

    Attributes:
        path: the file.
        fingerprint: its sha256, the layer and the preprocessing.
        device: `cpu`, `cuda` or `tensorrt`, as the session really came back.
        nonnegative: whether the graph proves that no activation is below zero.
        neighbours: where it does not, the nearest layers for which it does.
        workers: how many calls may usefully run side by side: two at least, so that one can decode.
        head: of the classifier that the file is, where it looks at this layer.
        assumed: whether nobody said the preprocessing, and torchvision's was taken.
        fixed: `(n, height, width)` of the input, None where an axis is free.
        session: ONNX Runtime's.
        graphs: runs it by captured CUDA graphs, None where it runs as usual.
    """

    path: Path
    fingerprint: Fingerprint
    device: str
    nonnegative: bool
    neighbours: tuple[str, ...]
    workers: int
    fixed: Axes
    session: Session
    head: LinearHead | None = None
    assumed: bool = False
    graphs: CudaGraphs | None = None

    @classmethod
    def open(
        cls,
        path: str | Path | ModelFile | None = None,
        layer: str | None = None,
        *,
        device: Device = "auto",
        preprocessing: Preprocessing | None = None,
        sign: Sign = "keep",
        threads: int | None = None,
        accelerator: Accelerator | None = None,
        gridless: bool = False,
    ) -> Self:
        """Reads and checks an ONNX file and starts a session on it.

        Args:
            path: the file, or what `load_model` made of it; by default the embedded backbone.
            layer: the tensor to take; by default the one that the file's metadata or its only grid-shaped output says,
                else the one that a classifier's head looks at.
            device: `auto`, `cpu`, or `cuda` or `tensorrt`, which are errors where they do not really run.
            preprocessing: what the network was trained on, for files that do not say; by default torchvision's. Layout
                and type are taken from the graph.
            sign: what becomes of features that can be negative: `keep` (a run refuses them), `rectify` (they become
                0), or `split` (each channel becomes two, its positive and its negative part).
            threads: of one call; all available cores by default. A run is fastest with 1: calls then run side by side,
                one on each core.
            accelerator: how a GPU is used: TensorRT's folder of engines, CUDA graphs.
            gridless: whether a layer without a grid will do (a fully connected one, say): `c` figures of a picture
                become activations `(n, c, 1, 1)`.

        Raises:
            ModelError: when the file cannot be used or has no such layer, or the layer has no grid.
            DeviceError: when a device, or CUDA graphs, were asked for and are not there.
            UsageError: when there is no such file, or `preprocessing` contradicts what the file says.
        """
        file = path if isinstance(path, ModelFile) else load_model(path if path is not None else embedded_model())
        model, path, seen = file.model, file.path, usual_head(file)
        name = resolve_layer(model, layer, path) if layer else _usual_layer(file, seen)
        metadata = metadata_of(model, path)
        if metadata and preprocessing and preprocessing != metadata.preprocessing:
            raise UsageError(f"{path}: says its preprocessing itself; leave out the options that set another")
        grid = has_grid(model, name, path)
        if not (grid or gridless):
            raise ModelError(
                f"{path}: {name!r} has no grid of features; take a layer that has one (`dff-onnx layers` lists them), "
                "or describe whole pictures by it: --descriptor codes"
            )
        rows, signed = rows_model(model, name, path, sign, grid)
        nonnegative = sign != "keep" or name in nonnegative_tensors(model.graph)
        understood = metadata.preprocessing if metadata else settled(model, path, preprocessing)
        accelerator = accelerator or Accelerator()
        session = _start(rows.SerializeToString(), device, threads, accelerator, path)
        if accelerator.cuda_graph and not cuda_present():
            raise DeviceError("CUDA graphs give arrays of CuPy, which is not here: pip install 'dff-onnx[cuda]'")
        return cls(
            path=path,
            fingerprint=Fingerprint(file.sha256, signed, understood),
            device=device_of_session(session),
            nonnegative=nonnegative,
            neighbours=() if nonnegative else nonnegative_neighbours(model, name),
            workers=max(2, min(MOST_WORKERS, available_cores() // (threads or available_cores()))),
            fixed=_fixed_axes(session, understood),
            session=session,
            head=seen.head if seen and seen.features == name and sign == "keep" else None,
            assumed=metadata is None and preprocessing is None and understood.dtype == "float32",
            graphs=CudaGraphs(session) if accelerator.cuda_graph else None,
        )

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        """Activations of a batch.

        Args:
            pixels: `(n, height, width, 3)` uint8, RGB.

        Returns:
            `(n, c, h, w)` float32: a view whose channels lie side by side in memory, so that rows of `A` cost no copy.
            A CuPy array where the session runs on CUDA and CuPy is there.

        Raises:
            UsageError: when the network's input has a fixed size, and it is another.
            ModelError: when the network fails on this size.
        """
        self._check_size(pixels)
        batch = self.fixed[0]
        if batch is None or batch == len(pixels):
            return self._run(pixels)
        parts = [np.resize(pixels[i : i + batch], (batch, *pixels.shape[1:])) for i in range(0, len(pixels), batch)]
        done = [self._run(part) for part in parts]
        return np.concatenate(done)[: len(pixels)] if len(done) > 1 else done[0][: len(pixels)]

    def _check_size(self, pixels: NDArray[np.uint8]) -> None:
        for wanted, found, axis in zip(self.fixed[1:], pixels.shape[1:3], ("height", "width"), strict=True):
            if wanted is not None and wanted != found:
                raise UsageError(
                    f"{self.path}: its input has a fixed {axis} of {wanted}, the pictures have {found}; "
                    f"use --size {wanted}, or a model with a free size"
                )

    def _run(self, pixels: NDArray[np.uint8]) -> Array:
        source = self.session.get_inputs()[0].name
        values = to_input(pixels, self.fingerprint.preprocessing)
        try:
            rows = self._run_on_cuda(source, values) if self._stays_on_device() else self._run_on_host(source, values)
        except runtime_errors() as error:
            raise ModelError(
                f"{self.path}: the network failed on {len(pixels)} pictures of {pixels.shape[2]}x{pixels.shape[1]}: "
                f"{first_line(error)}; try another --size"
            ) from error
        return rows.transpose(0, 3, 1, 2)

    def check_nonnegative(self, remedy: str) -> None:
        """Refuses a layer whose activations can be below zero.

        Args:
            remedy: what happens otherwise, and what to do, as the end of the sentence.

        Raises:
            ModelError: naming layers nearby that cannot be.
        """
        if not self.nonnegative:
            near = f" (the nearest that cannot: {', '.join(self.neighbours)})" if self.neighbours else ""
            raise ModelError(f"{self.path}: layer {self.fingerprint.layer} can be negative{near}, {remedy}")

    def _run_on_host(self, source: str, values: NDArray[Any]) -> Array:
        return self.session.run(None, {source: values})[0]

    def _run_on_cuda(self, source: str, values: NDArray[Any]) -> Array:
        if self.graphs:
            return self.graphs(values)
        # A fresh binding per batch: running one again overwrites the earlier output in place.
        binding = self.session.io_binding()
        binding.bind_cpu_input(source, values)
        binding.bind_output(self.session.get_outputs()[0].name, "cuda", 0)
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return from_cuda(binding.get_outputs()[0])

    def _stays_on_device(self) -> bool:
        return self.device != "cpu" and cuda_present()


def _usual_layer(file: ModelFile, head: FoundHead | None) -> str:
    """The layer to take when none is named."""
    try:
        return default_layer(file.model, file.path)
    except ModelError:
        if head is None or head.features not in nonnegative_tensors(file.model.graph):
            raise
        return head.features


def _start(model: bytes, device: Device, threads: int | None, accelerator: Accelerator, path: Path) -> Session:
    try:
        return create_session(model, device, threads, accelerator)
    except runtime_errors() as error:
        raise ModelError(f"{path}: ONNX Runtime refuses it: {first_line(error)}") from error


def to_input(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[Any]:
    """RGB pixels as the graph expects them: as they are, or normalised.

    Args:
        pixels: `(n, height, width, 3)` uint8, RGB.
        preprocessing: of the network.

    >>> import numpy as np
    >>> white = np.full((1, 1, 1, 3), 255, np.uint8)
    >>> to_input(white, Preprocessing("NCHW", "float32", mean=(0.5,) * 3, std=(0.5,) * 3)).tolist()
    [[[[1.0]], [[1.0]], [[1.0]]]]
    """
    values: NDArray[Any] = pixels
    if preprocessing.dtype == "float32":
        ordered = pixels if preprocessing.channels == "RGB" else pixels[..., ::-1]
        mean, std = (np.asarray(v, np.float32) for v in (preprocessing.mean, preprocessing.std))
        values = (ordered * np.float32(preprocessing.scale) - mean) / std
    if preprocessing.layout == "NCHW":
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values)


def _fixed_axes(session: Session, preprocessing: Preprocessing) -> Axes:
    n, *rest = (size if isinstance(size, int) else None for size in session.get_inputs()[0].shape)
    height, width = rest[1:] if preprocessing.layout == "NCHW" else rest[:2]
    return n, height, width
