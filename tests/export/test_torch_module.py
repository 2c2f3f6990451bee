"""Any PyTorch module becomes a backbone that computes what PyTorch computes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from dff_onnx.backbone.graph import list_layers, metadata_of
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.errors import CheckpointError, ModelError, UsageError
from dff_onnx.records import Preprocessing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("torch_here"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

SCRIPT = Path(__file__).parents[2] / "exporters" / "torch_module.py"
PLANES = Preprocessing(layout="NCHW", dtype="float32")

# Network, submodule, channels, stride, whether any size will do, whether values are >= 0.
NETWORKS = {
    "alexnet": ("features.10", 256, 16, True, True),
    "googlenet": ("inception4e", 832, 16, True, True),
    "densenet121": ("features", 1024, 32, True, True),
    "mobilenet_v3_small": ("features.12", 576, 32, True, False),
    "convnext_tiny": ("features.5", 384, 16, True, False),
    "vit_b_32": ("encoder", 768, 32, False, False),
}


@pytest.fixture(scope="module")
def nets() -> ModuleType:
    return importlib.import_module("torch_networks")


@pytest.fixture(scope="module")
def small() -> ModuleType:
    return importlib.import_module("small_networks")


def by_torch(network: Any, layer: str, planes: Any) -> Any:
    """What a hook sees once the network has run."""
    import torch

    seen: list[Any] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        network(torch.from_numpy(planes))
    handle.remove()
    return seen[-1].numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_torchvision_computes_the_same(name: str, nets: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    layer, channels, stride, free, nonnegative = NETWORKS[name]
    network = nets.make(name).eval() if name in ("vit_b_32", "convnext_tiny") else nets.randomised(name)
    made = export_module(network, layer, tmp_path / "net.onnx", name=f"torchvision:{name}", preprocessing=PLANES)
    assert (made.layer.channels, made.layer.stride, made.layer.nonnegative) == (channels, stride, nonnegative)
    assert made.fixed == (None if free else (224, 224))
    assert made.parity.difference < 1e-4 and len(made.parity.sizes) >= 2
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    for n, height, width in ((1, 224, 224), (2, 256, 192), (3, 320, 320)) if free else ((1, 224, 224), (3, 224, 224)):
        planes = np.random.default_rng(n).normal(0, 1, (n, 3, height, width)).astype(np.float32)
        expected, found = by_torch(network, layer, planes), session.run(None, {"image": planes})[0]
        if name == "vit_b_32":
            expected = expected[:, 1:].transpose(0, 2, 1).reshape(n, channels, 7, 7)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    said = metadata_of(load_model(made.path).model, made.path)
    assert said is not None and said.layers == (made.layer,) and said.preprocessing == PLANES
    properties = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    assert json.loads(properties["dff.parity"])["difference"] == made.parity.difference
    listed = {c.name: c for c in list_layers(load_model(made.path).model, made.path)}[layer]
    assert (listed.channels, listed.nonnegative) == (channels, nonnegative)
    assert str(Path.cwd()) not in made.path.read_bytes().decode("latin1")


def test_operations_in_place_are_said_and_shown(nets: ModuleType, small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    vgg = export_module(nets.make("vgg11").eval(), "features.6", tmp_path / "a.onnx", size=64)
    assert vgg.probe.overwritten == "features.7 (ReLU)" and vgg.layer.nonnegative
    summed = export_module(small.Residual().eval(), "conv", tmp_path / "b.onnx", preprocessing=PLANES, size=64)
    assert summed.probe.overwritten == "the network itself" and summed.layer.nonnegative
    plain = export_module(small.Residual().eval(), "stem", tmp_path / "c.onnx", size=64)
    assert plain.probe.overwritten == "" and not plain.layer.nonnegative


def test_the_last_of_several_calls_counts_and_a_fixed_tail_is_no_obstacle(small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    network = small.Shared().eval()
    made = export_module(network, "relu", tmp_path / "net.onnx", preprocessing=PLANES, size=64)
    assert (made.probe.calls, made.layer.channels, made.probe.free) == (2, 12, False)
    # The network takes 64 x 64 only, its truncated graph any size.
    assert made.fixed is None
    planes = np.random.default_rng(0).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)
    found = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"]).run(None, {"image": planes})[0]
    np.testing.assert_allclose(found, by_torch(network, "relu", planes), atol=1e-5)


def test_a_pooling_to_a_fixed_grid_keeps_the_size(small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    network = small.Gridded().eval()
    made = export_module(network, "pool", tmp_path / "net.onnx", preprocessing=PLANES, size=64)
    assert made.fixed == (64, 64) and made.parity.difference < 1e-5
    backbone = Backbone.open(made.path, device="cpu")
    assert backbone.fixed[1:] == (64, 64)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    expected = by_torch(network, "pool", to_input(pixels, PLANES))
    np.testing.assert_allclose(backbone(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("sign", ["rectify", "split"])
def test_pixels_in_and_negative_values_settled(sign: Any, small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    preprocessing = Preprocessing(channels="BGR", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    network = small.ChannelsLast().eval()
    made = export_module(network, "norm", tmp_path / "n.onnx", preprocessing=preprocessing, size=64, sign=sign)
    assert made.probe.form == "last" and made.layer.nonnegative and made.fixed is None
    backbone = Backbone.open(made.path, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    planes = (pixels[..., ::-1] / 255 - preprocessing.mean) / preprocessing.std
    expected = by_torch(network, "norm", planes.transpose(0, 3, 1, 2).astype(np.float32)).transpose(0, 3, 1, 2)
    parts = [np.maximum(expected, 0)] + ([np.maximum(-expected, 0)] if sign == "split" else [])
    np.testing.assert_allclose(backbone(pixels), np.concatenate(parts, axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer", "said"),
    [
        ("small_networks:ChannelsLast", "nrom", "no submodule 'nrom'; the nearest: norm"),
        ("small_networks:ChannelsLast", "pair", "gives a tuple, not one tensor"),
        ("small_networks:ChannelsLast", "unused", "no picture passes through it"),
        ("small_networks:Shared", "tail", r"shape \(2, 5\) .* no grid of features"),
        ("small_networks:number", "x", "gives a int, not a torch.nn.Module"),
        ("small_networks:nothing", "x", "cannot be loaded"),
        ("small_networks:three", "x", "is a int, not a network or a callable"),
        ("no_such_package:net", "x", "cannot be loaded"),
        ("small_networks", "x", "package.module:callable"),
        ("torchvision:vgg12", "x", "cannot be loaded"),
    ],
)
def test_a_mistake_gets_one_sentence(name: str, layer: str, said: str, nets: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module, load_network

    assert nets.torchvision_models()
    with pytest.raises(UsageError, match=said):
        export_module(load_network(name), layer, tmp_path / "net.onnx", size=64)
    assert not list(tmp_path.iterdir())


def test_values_that_are_not_finite_are_no_parity(small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    with pytest.raises(ModelError, match="not finite"):
        export_module(small.NotFinite().eval(), "end", tmp_path / "net.onnx", size=64)
    assert not list(tmp_path.iterdir())


def test_a_stride_of_64_has_a_grid(small: ModuleType, tmp_path: Path) -> None:
    from dff_onnx.export.torch_module import export_module

    made = export_module(small.deep().eval(), "5", tmp_path / "net.onnx")
    assert (made.layer.stride, made.layer.channels, made.fixed) == (64, 8, None)


def test_weights_come_from_a_file_and_must_fit(small: ModuleType, tmp_path: Path) -> None:
    import torch

    from dff_onnx.export.torch_module import load_network

    trained = small.Residual()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "w.pth")
    loaded = load_network("small_networks:Residual", tmp_path / "w.pth")
    for name, value in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    with pytest.raises(CheckpointError, match=r"'first.weight' is not there in the file, \(8, 3, 3, 3\) in it"):
        load_network("small_networks:Shared", tmp_path / "w.pth")


def test_the_script_lists_and_exports_a_file_of_ones_own(small: ModuleType, tmp_path: Path) -> None:
    import torch

    source = tmp_path / "mine.py"
    (tmp_path / "beside.py").write_text(Path(str(small.__file__)).read_text(encoding="utf-8"), encoding="utf-8")
    source.write_text(  # a neighbour, and a class that asks for its module
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom beside import Shared\n"
        "@dataclass\nclass Settings:\n    width: int = 3\n",
        encoding="utf-8",
    )
    torch.save(small.Shared().state_dict(), tmp_path / "w.pth")
    common = [sys.executable, str(SCRIPT), f"{source}:Shared", "--weights", str(tmp_path / "w.pth"), "--size", "64"]
    listed = subprocess.run([*common, "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines()[-1].split() == ["relu", "ReLU", "12x16x16"]
    line = [*common, "--layer", "second", "-o", str(tmp_path / "net.onnx")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert "overwritten in place by relu (ReLU)" in done.stderr and "differs from PyTorch" in done.stderr
    assert Backbone.open(tmp_path / "net.onnx", device="cpu").nonnegative
    wrong = subprocess.run([*common, "--layer", "third", "-o", "x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("torch_module.py: ") and wrong.stderr.count("\n") == 1
