"""Class maps and scores of real classifiers equal PyTorch's, on photographs.

Both sides get the same tensors. Differences are shares of the largest absolute value of a picture's maps or scores.

All 1000 photographs of `photos/`, by hand on 2026-11-21 (PyTorch 2.13 and ONNX Runtime, both on a CPU), largest
differences, and how often the best class was the same:

| network | class maps | absolute | scores | absolute | same |
|---|---|---|---|---|---|
| SqueezeNet 1.1 | 2.5e-6 | 3.8e-4 | 9.8e-7 | 3.4e-5 | 1000 |
| MobileNet v2 | 5.7e-6 | 1.4e-4 | 3.2e-6 | 2.4e-5 | 1000 |

SqueezeNet's class maps reach 286, where float32 itself has steps of 3e-5.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.cam.class_maps import class_maps
from dff_onnx.export import open_checkpoint
from dff_onnx.images import Resize, read_picture
from dff_onnx.linear_head import pooled
from dff_onnx.records import Preprocessing
from dff_onnx.runs.classifier import open_classifier
from dff_onnx.runs.mapping import Cam
from dff_onnx.runs.opening import Opening

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_here")]

TOLERANCE = 1e-4
AGREEMENT = 0.995
# The tests take every tenth photograph.
EVERY = 10
AT_ONCE = 10
TENSORFLOW = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)

Values = NDArray[Any]
# From an input tensor to class maps `(n, classes, h, w)` and scores `(n, classes)`.
Reference = Callable[[Values], tuple[Values, Values]]


@dataclass
class Apart:
    """The largest differences over some photographs.

    Attributes:
        maps, pooled, scores: shares; of the class maps, of what pooling them gives, of the scores.
        maps_by, scores_by: absolute.
        same: photographs of the same best class.
        seen: photographs.
    """

    maps: float = 0.0
    pooled: float = 0.0
    scores: float = 0.0
    maps_by: float = 0.0
    scores_by: float = 0.0
    same: int = 0
    seen: int = 0


@pytest.fixture
def nets(torch_here: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:  # noqa: ARG001
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "export")
    return importlib.import_module("torch_networks")


def squeezenet(nets: ModuleType, data: Path) -> Reference:
    """torchvision's network with the weights of a checkpoint."""
    import torch

    network = nets.make("squeezenet1_1").eval()
    with open_checkpoint(data / "models" / "squeezenet1_1.safetensors") as checkpoint:
        network.load_state_dict({name: torch.from_numpy(checkpoint.array(name)) for name in checkpoint.shapes})
    seen: list[Values] = []
    network.classifier[2].register_forward_hook(lambda _m, _i, output: seen.append(output.numpy().copy()))

    def run(values: Values) -> tuple[Values, Values]:
        with torch.no_grad():
            scores = network(torch.from_numpy(values)).numpy()
        return seen.pop(), scores

    return run


def mobilenet(_nets: ModuleType, data: Path) -> Reference:
    """The operators of the ONNX file one after the other, each by PyTorch's function of that kind."""
    import torch

    graph = onnx.load(data / "models" / "mobilenetv2-cam.onnx").graph
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    answer = next(node for node in graph.node if node.output[0] == "cam")

    def run(values: Values) -> tuple[Values, Values]:
        held: dict[str, Any] = {**weights, "image": torch.from_numpy(values), "": None}
        with torch.no_grad():
            for node in graph.node:
                held[node.output[0]] = operator(node, [held[name] for name in node.input])
            # Class maps are without the bias, which this output has.
            maps = held["cam"] - weights[answer.input[2]][:, None, None]
        return maps.numpy(), held["logits"].numpy()

    return run


def operator(node: NodeProto, given: list[Any]) -> Any:
    """One operator; the small integer ones make the widths of borders."""
    import torch
    from torch.nn import functional

    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    match node.op_type:
        case "Conv":
            assert set(said["dilations"]) == {1} and said["pads"][:2] == said["pads"][2:]
            return functional.conv2d(*given, stride=said["strides"], padding=said["pads"][:2], groups=said["group"])
        case "Clip":
            return torch.clamp(*given)
        case "Add":
            return given[0] + given[1]
        case "Pad":
            begin, end = given[1].reshape(2, -1).tolist()
            return functional.pad(given[0], [n for axis in (3, 2, 1, 0) for n in (begin[axis], end[axis])])
        case "ReduceMean":
            return given[0].mean(said["axes"], keepdim=bool(said["keepdims"]))
        case "Flatten":
            return given[0].flatten(said["axis"])
        case "Constant":
            return torch.from_numpy(numpy_helper.to_array(said["value"]).copy())
        case "ConstantOfShape":
            return torch.zeros(given[0].tolist(), dtype=torch.int64)
        case "Concat":
            return torch.cat(given, said["axis"])
        case "Reshape":
            return given[0].reshape(given[1].tolist())
        case "Slice":
            assert given[3].tolist() == [0] and given[4].tolist() == [-1] and given[1].tolist() == [-1]
            return given[0].flip(0)
        case "Transpose":
            return given[0].permute(said["perm"])
        case "Cast":
            return given[0].long()
    raise NotImplementedError(node.op_type)


NETWORKS = {
    "squeezenet1_1": (squeezenet, None, "/fires.7/Concat_output_0"),
    "mobilenetv2-cam": (mobilenet, TENSORFLOW, "features"),
}


def photographs(paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    for i in range(0, len(paths), AT_ONCE):
        yield np.stack([read_picture(path, Resize("square", 224)).pixels for path in paths[i : i + AT_ONCE]])


def share(ours: Values, theirs: Values) -> float:
    """The largest difference of a picture as a share of its largest value, the worst of some pictures."""
    axes = tuple(range(1, theirs.ndim))
    return float((np.abs(ours - theirs).max(axes) / np.abs(theirs).max(axes)).max())


def compared(backbone: Backbone, head: Any, reference: Reference, paths: Sequence[Path]) -> Apart:
    """Ours beside PyTorch's."""
    apart = Apart()
    for pixels in photographs(paths):
        maps, scores = reference(to_input(pixels, backbone.fingerprint.preprocessing))
        A = np.moveaxis(backbone(pixels), 1, -1)
        wanted = np.tile(np.arange(head.classes), (len(pixels), 1))
        our_maps, our_scores = class_maps(A, head, wanted), head.scores(A)
        of_maps = pooled(np.moveaxis(our_maps, 1, -1), head.pool) + (0 if head.rectified else head.bias)
        apart.maps = max(apart.maps, share(our_maps, maps))
        apart.pooled = max(apart.pooled, share(of_maps, scores))
        apart.scores = max(apart.scores, share(our_scores, scores))
        apart.maps_by = max(apart.maps_by, float(np.abs(our_maps - maps).max()))
        apart.scores_by = max(apart.scores_by, float(np.abs(our_scores - scores).max()))
        apart.same += int((our_scores.argmax(axis=1) == scores.argmax(axis=1)).sum())
        apart.seen += len(pixels)
    return apart


@pytest.mark.parametrize("name", NETWORKS)
def test_class_maps_scores_and_best_classes_are_pytorchs(nets: ModuleType, real_data: Path, name: str) -> None:
    make, preprocessing, layer = NETWORKS[name]
    classifier = open_classifier(real_data / "models" / f"{name}.onnx", opening=Opening("cpu", preprocessing))
    assert isinstance(classifier.mapping, Cam) and classifier.backbone.fingerprint.layer == layer
    paths = sorted((real_data / "photos").iterdir())[::EVERY]
    apart = compared(classifier.backbone, classifier.mapping.head, make(nets, real_data), paths)
    assert apart.seen == len(paths) >= 100
    assert max(apart.maps, apart.pooled, apart.scores) <= TOLERANCE, apart
    assert apart.same >= AGREEMENT * apart.seen, apart
