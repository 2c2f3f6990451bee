"""The gradient of a tail, as an ONNX file, is PyTorch's own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.tail import FEATURES, Tail, tail_model
from dff_onnx.backbone.tail_gradient import TailGradient
from dff_onnx.errors import ModelError, UsageError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("torch_here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

SCRIPT = Path(__file__).parents[2] / "exporters" / "tail_gradient.py"
PATH = Path("net.onnx")


@pytest.fixture(scope="module")
def nets() -> ModuleType:
    return importlib.import_module("torch_networks")


@pytest.fixture(scope="module")
def tails() -> ModuleType:
    return importlib.import_module("torch_tails")


def by_autograd(tail: Callable[[Any], Any], features: Any, classes: Any) -> Any:
    import torch

    A = torch.from_numpy(features).requires_grad_(True)
    picked = tail(A).gather(1, torch.from_numpy(classes)[:, None])
    return torch.autograd.grad(picked.sum(), A)[0].numpy()


def assert_near(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape and np.abs(expected).max() > 0
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def activations(*shape: int) -> Any:
    return np.maximum(np.random.default_rng(sum(shape)).normal(0, 1, shape), 0).astype(np.float32)


def exported(network: Any, size: int, folder: Path, free: bool = True) -> Path:
    """The whole classifier, as PyTorch's own exporter writes it."""
    import torch

    axes = {"image": {0: "n", 2: "h", 3: "w"}} if free else None
    torch.onnx.export(network, (torch.rand(1, 3, size, size),), folder / "net.onnx", input_names=["image"],
                      dynamic_axes=axes, dynamo=False, opset_version=17)  # fmt: skip
    return folder / "net.onnx"


def output_of(path: Path, kind: str, which: int = -1) -> str:
    """The tensor that the last node of a kind makes."""
    return str([node.output[0] for node in onnx.load(path).graph.node if node.op_type == kind][which])


def test_fully_connected_layers_behind_a_maximum_keep_the_size_of_the_grid(tails: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.tail_gradient import export_tail_gradient

    network = tails.vgg_like().eval()
    path = exported(network, 32, tmp_path, free=False)
    layer = output_of(path, "Relu", 1)
    made = export_tail_gradient(path, layer, tmp_path / "gradient.onnx")
    # The file was exported for one picture of one size; the batch is free all the same where the graph says none.
    assert made.fixed[1:] == (16, 16) and made.difference < 1e-5 and made.classes == 7
    gradient = TailGradient.open(made.path, device="cpu")
    gradient.check_belongs(load_model(path).sha256, layer, path)
    A, classes = activations(5, 12, 16, 16), np.array([0, 6, 3, 3, 1])
    assert_near(gradient(A, classes), by_autograd(network.tail, A, classes))
    with pytest.raises(UsageError, match="fixed height of 16, the features have 18"):
        gradient(activations(1, 12, 18, 16), np.array([0]))


def test_the_script_writes_that_of_a_residual_block_for_grids_of_any_size(tails: ModuleType, tmp_path: Path) -> None:
    network = tails.residual().eval()
    path = exported(network, 40, tmp_path)
    layer, output = output_of(path, "Relu", 0), tmp_path / "gradient.onnx"
    command = [sys.executable, str(SCRIPT), str(path), "-o", str(output), "--layer"]
    done = subprocess.run([*command, layer], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout
    assert f"{output}: gradient at {layer} of 5 scores, grids of any size; differs from PyTorch by" in done.stderr
    gradient = TailGradient.open(output, device="cpu")
    assert gradient.fixed == (None, None, None)
    for n, height, width in ((1, 9, 9), (3, 12, 7), (70, 4, 5)):
        A, classes = activations(n, 8, height, width), np.arange(n) % 5
        assert_near(gradient(A, classes), by_autograd(network.tail, A, classes))
    refused = subprocess.run([*command, output_of(path, "Conv", 1)], capture_output=True, text=True, check=False)
    assert refused.returncode == ModelError.exit_code and len(refused.stderr.splitlines()) == 1
    assert "does not carry everything" in refused.stderr


def test_a_real_networks_gradient_is_that_of_its_pytorch_twin(
    real_data: Path, nets: ModuleType, tmp_path: Path
) -> None:
    from dff_onnx.export.tail_gradient import export_tail_gradient
    from dff_onnx.export.torch_module import load_network

    nets.torchvision_models()
    models = real_data / "models"
    network = load_network("torchvision:squeezenet1_1", models / "squeezenet1_1.safetensors")
    layer = "/fires.3/Concat_output_0"  # fire5
    made = export_tail_gradient(models / "squeezenet1_1.onnx", layer, tmp_path / "gradient.onnx")
    assert made.fixed == (None, None, None) and (made.classes, made.layer) == (1000, layer)

    def tail(features: Any) -> Any:
        return network.classifier(network.features[8:](features)).flatten(1)

    gradient = TailGradient.open(made.path, device="cpu")
    for n, height, width in ((2, 27, 27), (1, 20, 31)):
        A, classes = activations(n, 256, height, width), np.array([281, 3])[:n]
        assert_near(gradient(A, classes), by_autograd(tail, A, classes))


def test_a_tail_that_is_a_module_needs_no_classifier_file(tails: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.tail_gradient import tail_gradient_of

    module = tails.activated().eval()
    made = tail_gradient_of(module, (2, 6, 8, 8), layer="block3")
    (tmp_path / "gradient.onnx").write_bytes(made.SerializeToString())
    gradient = TailGradient.open(tmp_path / "gradient.onnx", device="cpu")
    assert (gradient.layer, gradient.model_sha256, gradient.fixed) == ("block3", "", (None, None, None))
    A, classes = activations(3, 6, 9, 11), np.array([0, 1, 2])
    assert_near(gradient(A, classes), by_autograd(module, A, classes))
    assert str(Path.cwd()) not in made.SerializeToString().decode("latin1")


def test_an_operator_that_is_not_known_is_said_before_anything_runs(tmp_path: Path) -> None:
    from dff_onnx.export.tail_gradient import export_tail_gradient

    made = classifier([("Einsum", ["x"], {"equation": b"nchw->nc"})])
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"the tail has a Einsum \('t0'\), whose gradient is not known here"):
        export_tail_gradient(tmp_path / "net.onnx", "x", tmp_path / "gradient.onnx")
    assert not (tmp_path / "gradient.onnx").exists()


def classifier(steps: list[tuple[str, list[Any], dict[str, Any]]], channels: int = 6, opset: int = 20) -> ModelProto:
    """image -> a convolution `x` -> steps, each a node of the one before -> a mean -> scores.

    The first input of a step is `x` (the layer), `-` (what the last step made) or an array; others alike.
    """
    rng = np.random.default_rng(0)
    tensors = [numpy_helper.from_array(rng.normal(0, 1, (channels, 3, 1, 1)).astype(np.float32), "w")]
    nodes: list[NodeProto] = [helper.make_node("Conv", ["image", "w"], ["x"])]
    last = "x"
    for i, (kind, inputs, attributes) in enumerate(steps):
        names = []
        for j, value in enumerate(inputs):
            if isinstance(value, str):
                names.append(last if value == "-" else value)
            else:
                names.append(f"c{i}_{j}")
                tensors.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        last = f"t{i}"
        nodes.append(helper.make_node(kind, names, [last], **attributes))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", "classes"])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def floats(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


END = [("GlobalAveragePool", ["-"], {}), ("Flatten", ["-"], {})]
PLAIN = (
    "Identity Relu Sigmoid Tanh HardSwish HardSigmoid LeakyRelu Elu Selu Softplus Softsign Mish Gelu Erf Exp Abs Neg "
    "Dropout GlobalMaxPool"
).split()
WINDOWS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Conv", ["x", floats(4, 6, 3, 3), floats(4)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("Conv", ["x", floats(6, 2, 3, 2)], {"group": 3, "dilations": [2, 1], "pads": [0, 1, 2, 0]}),
    ("Conv", ["x", floats(4, 6, 3, 3)], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("Conv", ["x", floats(4, 6, 2, 2)], {"auto_pad": "SAME_LOWER"}),
    ("Conv", ["x", floats(4, 6, 2, 2)], {"auto_pad": "VALID", "strides": [3, 3]}),
    ("MaxPool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", ["x"], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("MaxPool", ["x"], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("AveragePool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", ["x"], {"kernel_shape": [2, 3], "pads": [0, 0, 1, 1]}),
    ("AveragePool", ["x"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
]
OTHERS: list[list[tuple[str, list[Any], dict[str, Any]]]] = [
    [("Clip", ["x", np.float32(0), np.float32(0.5)], {}), *END],
    [("Clip", ["x", np.float32(0)], {}), *END],
    [("Clip", ["x", "", np.float32(0.2)], {}), *END],
    [("BatchNormalization", ["x", floats(6), floats(6), floats(6), np.abs(floats(6))], {"epsilon": 1e-3}), *END],
    [("PRelu", ["x", np.abs(floats(6, 1, 1))], {}), *END],
    [("Add", ["x", "x"], {}), ("Mul", ["-", floats(6, 1, 1)], {}), ("Sub", [np.float32(2), "-"], {}), *END],
    [("Exp", ["x"], {}), ("Div", [np.float32(2), "-"], {}), ("Pow", ["-", np.float32(2)], {}), *END],
    [("Max", ["x", np.float32(0.1)], {}), ("Min", ["-", np.float32(0.5)], {}), ("Sum", ["-", "x"], {}), *END],
    [("Concat", ["x", "x"], {"axis": 1}), ("Softmax", ["-"], {"axis": 1}), ("LogSoftmax", ["-"], {"axis": 1}), *END],
    [("ReduceMean", ["x", ints(2, 3)], {"keepdims": 0}), ("Gemm", ["-", floats(6, 4), floats(4)], {"alpha": 0.5})],
    [("ReduceMax", ["x", ints(-1)], {}), ("ReduceSum", ["-", ints(2)], {"keepdims": 0}),
     ("Squeeze", ["-", ints(2)], {}), ("MatMul", ["-", floats(6, 4)], {})],
    [*END, ("Unsqueeze", ["-", ints(1)], {}), ("Squeeze", ["-", ints(1)], {}),
     ("Gemm", ["-", floats(4, 6)], {"transB": 1})],
    [("Transpose", ["x"], {"perm": [0, 2, 3, 1]}), ("LayerNormalization", ["-", floats(6), floats(6)], {}),
     ("ReduceMean", ["-", ints(1, 2)], {"keepdims": 0})],
    [("Pad", ["x", ints(0, 0, 1, 0, 0, 0, 2, 3)], {}), ("Conv", ["-", floats(4, 6, 3, 3)], {}), *END],
    [("Slice", ["x", ints(1), ints(5), ints(1)], {}),
     ("Slice", ["-", ints(1), ints(2**40), ints(2), ints(3)], {}), *END],
    [("Gather", ["x", ints(4, 0, -1)], {"axis": 1}), *END],
    [*END, ("Reshape", ["-", ints(0, 2, 3)], {}), ("Reshape", ["-", ints(-1, 6)], {})],
]  # fmt: skip
TAILS = [
    *([(kind, ["x"], {}), *END] for kind in PLAIN),
    *([(*window,), *END] for window in WINDOWS),
    *OTHERS,
]


def traced(module: Any, sample: Any) -> Any:
    """The gradient in forward operators alone, as it goes into the file."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    from dff_onnx.export.tail_gradient import _gradient
    from dff_onnx.export.torch_backward import forward_operators

    inputs = (torch.from_numpy(sample), torch.zeros(len(sample), dtype=torch.int64))
    return make_fx(_gradient(module), forward_operators(), "symbolic", _allow_non_fake_inputs=True)(*inputs)


@pytest.mark.parametrize("steps", TAILS, ids=lambda steps: steps[0][0])
def test_operators_and_their_gradients_are_those_of_onnx_runtime_and_autograd(steps: list[Any]) -> None:
    import torch

    from dff_onnx.export.onnx_to_torch import torch_module_of

    tail = tail_model(classifier(steps), "x", None, PATH)
    module, session = torch_module_of(tail, PATH), create_session(tail.SerializeToString(), "cpu")
    gradient = traced(module, floats(2, 6, 9, 11))
    used = {str(node.target) for node in gradient.graph.nodes}
    assert not [name for name in used if "backward" in name]
    for shape in ((2, 6, 9, 11), (3, 6, 10, 12)):
        A, classes = floats(*shape, seed=2), np.arange(shape[0])
        with torch.no_grad():
            scores = module(torch.from_numpy(A)).numpy()
        np.testing.assert_allclose(scores, session.run(None, {FEATURES: A})[0], rtol=1e-4, atol=1e-5)
        found = gradient(torch.from_numpy(A), torch.from_numpy(classes))
        assert_near(found[0].numpy(), by_autograd(module, A, classes))
        np.testing.assert_allclose(found[1].numpy(), scores[np.arange(shape[0]), classes], rtol=1e-5)


def test_arithmetic_with_shapes_follows_the_size_of_the_picture() -> None:
    from dff_onnx.export.onnx_to_torch import torch_module_of

    nodes = [
        ("Shape", ["x"], {}),
        ("Gather", ["-", np.array(0, np.int64)], {}),
        ("Unsqueeze", ["-", ints(0)], {}),
        ("Concat", ["-", ints(6), ints(-1)], {"axis": 0}),
        ("Reshape", ["x", "-"], {}),
        ("ReduceMean", ["-", ints(2)], {"keepdims": 0}),
    ]
    module = torch_module_of(tail_model(classifier(nodes), "x", None, PATH), PATH)
    gradient = traced(module, floats(2, 6, 9, 11))
    import torch

    A = floats(4, 6, 5, 8)
    found = gradient(torch.from_numpy(A), torch.arange(4))[0].numpy()
    assert_near(found, by_autograd(module, A, np.arange(4)))


@pytest.mark.parametrize("grid", [(8, 7), (6, 4), (3, 5)])
def test_a_pooling_to_a_fixed_grid_has_a_gradient(grid: tuple[int, int], tails: ModuleType) -> None:
    import torch

    module = tails.gridded().eval().requires_grad_(False)
    gradient = traced(module, floats(2, 6, *grid))
    A = floats(3, 6, *grid)
    found = gradient(torch.from_numpy(A), torch.arange(3))[0].numpy()
    assert_near(found, by_autograd(module, A, np.arange(3)))


def test_a_module_that_pools_to_a_fixed_grid_keeps_the_size_of_its_own(tails: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.tail_gradient import tail_gradient_of

    module = tails.gridded().eval()
    (tmp_path / "gradient.onnx").write_bytes(tail_gradient_of(module, (2, 6, 8, 7)).SerializeToString())
    gradient = TailGradient.open(tmp_path / "gradient.onnx", device="cpu")
    assert gradient.fixed == (None, 8, 7)
    A, classes = activations(5, 6, 8, 7), np.arange(5)
    assert_near(gradient(A, classes), by_autograd(module, A, classes))


def test_what_cannot_be_followed_is_one_sentence() -> None:
    from dff_onnx.export.onnx_to_torch import torch_module_of

    for steps, why in (
        ([("Slice", ["x", ints(5), ints(0), ints(1), ints(-1)], {}), *END], "a Slice runs backwards"),
        ([("Pad", ["x", ints(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": b"reflect"}), *END], "a Pad .* not known here"),
        ([("Gather", ["x", np.zeros((2, 2), np.int64)], {"axis": 1}), ("Flatten", ["-"], {})], "a Gather of a table"),
    ):
        made = classifier(steps)
        del made.graph.output[:]
        made.graph.output.append(helper.make_tensor_value_info(f"t{len(steps) - 1}", TensorProto.FLOAT, ["n", 6]))
        module = torch_module_of(whole_tail(made), PATH)
        import torch

        with pytest.raises(ModelError, match=why):
            module(torch.zeros(1, 6, 9, 11))


def whole_tail(made: ModelProto) -> ModelProto:
    """What lies behind `x`, without a look at what comes out."""
    copy = ModelProto()
    copy.CopyFrom(made)
    del copy.graph.node[0], copy.graph.input[:]
    copy.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6, "h", "w"]))
    return copy


def test_a_tails_scores_and_its_gradients_are_of_one_network(tails: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.tail_gradient import export_tail_gradient

    path = exported(tails.activated_network().eval(), 24, tmp_path)
    layer = output_of(path, "Relu", 0)
    made = export_tail_gradient(path, layer, tmp_path / "gradient.onnx")
    tail, gradient = Tail.open(path, layer, device="cpu"), TailGradient.open(made.path, device="cpu")
    A, step = activations(1, 6, 6, 6) + 0.05, 1e-2
    direction = gradient(A, np.array([2]))
    ahead, behind = (tail(A + sign * step * direction)[0, 2] for sign in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx(float((direction**2).sum()), rel=2e-2)


def test_a_slice_of_a_shape_may_run_backwards_over_axes_that_are_not_named() -> None:
    from dff_onnx.export.onnx_call import Call
    from dff_onnx.export.onnx_shapes import ON_HOST

    whole = helper.make_node("Slice", ["x", "start", "end", "", "step"], ["y"])
    figures = {"x": np.arange(4), "start": ints(-1), "end": ints(-(2**31)), "step": ints(-1)}
    assert ON_HOST["Slice"](Call(None, whole, figures, 13, PATH)).tolist() == [3, 2, 1, 0]
