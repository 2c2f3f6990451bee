"""What a MODEL means; networks made on first use, by one process of several, and kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import weight_files as files
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from random_weights import weights
from rough_server import serving
from typer.testing import CliRunner

from dff_onnx.backbone.head import find_head
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.cli import app
from dff_onnx.errors import ModelError, NetworkError, UsageError
from dff_onnx.zoo.cache import locked
from dff_onnx.zoo.find import find_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = files.write(tmp_path_factory.mktemp("weights") / "w", "safetensors", weights("vgg11", "relu2_1"))
    return path.read_bytes()


def card(folder: Path, url: str, data: bytes, architecture: str = "vgg11", layer: str = "relu2_1") -> Path:
    said = f'architecture = "{architecture}"\n' if architecture else ""
    text = f'name = "mine"\n{said}layer = "{layer}"\n[weights]\nurl = "{url}"\n'
    text += f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n[preprocessing]\nscale = 1\n'
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return folder / "mine.toml"


def test_a_network_is_made_once_and_kept(tmp_path: Path, cache: Path, data: bytes) -> None:
    with serving(data) as server:
        own = card(tmp_path, server.url, data)
        found = find_model("compact", card=own)
        assert find_model(str(own), "relu1_1").layer == "relu1_1"
    assert len(server.asked) == 1 and found.layer == "relu2_1"
    assert found.path.is_relative_to(cache / "models") and list((cache / "weights").glob("*-weights.safetensors"))
    again = find_model(str(own))  # the server is gone, and nothing is asked of it
    assert again == found
    backbone = Backbone.open(found.path, "relu1_1", device="cpu")
    assert backbone.fingerprint.preprocessing.scale == 1 and backbone.nonnegative


def test_an_onnx_file_on_a_server_is_cut_and_stamped(tmp_path: Path, data: bytes) -> None:
    assert data
    kernel = numpy_helper.from_array(np.ones((8, 3, 2, 2), np.float32), "kernel")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("Neg", ["relu"], ["end"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("end", TensorProto.FLOAT, [1, 8, 31, 31])],
        [kernel],
    )
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = made.SerializeToString()
    with serving(content) as server:
        own = card(tmp_path, server.url.replace("safetensors", "onnx"), content, "", "relu")
        found = find_model(str(own))
    backbone = Backbone.open(found.path, device="cpu")
    assert backbone.fingerprint.layer == "relu" and backbone.fingerprint.preprocessing.scale == 1
    assert backbone.fixed == (None, None, None)


def test_a_classifier_is_made_beside_the_backbone_of_a_card(tmp_path: Path, cache: Path) -> None:
    parameters = weights("squeezenet1_1")
    rng = np.random.default_rng(0)
    parameters |= {"classifier.1.weight": rng.normal(0, 1, (7, 512, 1, 1)), "classifier.1.bias": np.zeros(7)}
    data = files.write(tmp_path / "w", "safetensors", parameters).read_bytes()
    with serving(data) as server:
        own = card(tmp_path, server.url, data, "squeezenet1_1", "fire5")
        found = find_model("", card=own, classifier=True)
        plain = find_model("", card=own)
    assert len(server.asked) == 1 and found.path != plain.path and (found.layer, plain.layer) == (None, "fire5")
    head = find_head(load_model(found.path))
    assert (head.features, head.head.classes, head.head.rectified) == ("fire9", 7, True)
    assert Backbone.open(found.path, device="cpu").fingerprint.preprocessing.scale == 1
    assert found.path.is_relative_to(cache / "models")


def test_a_classifier_that_is_an_onnx_file_is_kept_whole(tmp_path: Path, data: bytes) -> None:
    assert data
    rng = np.random.default_rng(0)
    shapes = {"kernel": (8, 3, 2, 2), "classes": (8, 4)}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("ReduceMean", ["relu", "places"], ["pooled"], keepdims=0),
            helper.make_node("MatMul", ["pooled", "classes"], ["logits"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(rng.normal(0, 1, shape).astype(np.float32), name) for name, shape in shapes.items()]
        + [numpy_helper.from_array(np.array([2, 3]), "places")],
    )
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = made.SerializeToString()
    with serving(content) as server:
        own = card(tmp_path, server.url.replace("safetensors", "onnx"), content, "", "relu")
        found = find_model(str(own), classifier=True)
    assert find_head(load_model(found.path)).features == "relu"
    assert Backbone.open(found.path, device="cpu").fingerprint.preprocessing.scale == 1


def test_without_a_network_the_file_can_be_put_there_by_hand(tmp_path: Path, cache: Path, data: bytes) -> None:
    with serving(data) as server:
        own = card(tmp_path, server.url, data)
    with pytest.raises(NetworkError) as caught:
        find_model(str(own))
    place = Path(str(caught.value).rpartition("put it at ")[2])
    assert place.is_relative_to(cache)
    place.write_bytes(b"another file")
    with pytest.raises(ModelError, match="is not the file of http://127"):
        find_model(str(own))
    place.write_bytes(data)
    assert find_model(str(own)).path.is_file()


def test_two_processes_fetch_once(tmp_path: Path, cache: Path, data: bytes) -> None:
    with serving(data, "half", "honest") as server:
        line = [sys.executable, "-m", "dff_onnx", "models", "get", "--card", str(card(tmp_path, server.url, data))]
        both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert ended[0][0] == ended[1][0] and Path(ended[0][0].strip()).is_relative_to(cache)
    assert len(server.asked) == 2  # one that broke off, one that went on
    left = [path.name for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert sorted(name.rpartition(".")[2] for name in left) == ["onnx", "safetensors"]


def test_a_lock_is_waited_for_and_freed_by_death(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from dff_onnx.zoo.cache import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    told = list[bool]()

    def waiting() -> None:
        told.append(True)
        holder.kill()

    with locked(tmp_path / "x", waiting):
        assert told == [True]
    holder.wait()
    holder.stdout.close()


def test_a_cache_folder_that_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFF_ONNX_CACHE", "~nobody-of-that-name/x")
    with pytest.raises(UsageError, match="DFF_ONNX_CACHE: '~nobody-of-that-name/x' names no folder"):
        find_model("vgg19")


def test_a_name_of_nothing_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'vgg-19' is no file and no network .*did you mean vgg19\?.*models list"):
        find_model("vgg-19")
    assert find_model("folder/vgg-19").path == Path("folder/vgg-19")


def test_the_commands_show_what_is_known_and_run_by_name(tmp_path: Path, data: bytes) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["models", "list"])
    assert listed.exit_code == 0 and max(map(len, listed.stdout.splitlines())) <= 80
    assert (
        len(json.loads(runner.invoke(app, ["models", "list", "--json"]).stdout)) == len(listed.stdout.splitlines()) - 1
    )
    shown = runner.invoke(app, ["models", "show", "googlenet"]).stdout
    assert "inception5b" in shown and "1378be20" in shown and "[0.5, 0.5, 0.5]" in shown
    with pytest.raises(UsageError, match="give the name"):
        runner.invoke(app, ["models", "show"], catch_exceptions=False)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i}.png")
    with serving(data) as server:
        own = str(card(tmp_path, server.url, data))
        common = [str(pictures), "-k", "2", "--size", "32", "--overlays", "none"]
        ended = runner.invoke(app, ["run", *common, "--card", own, "-o", str(tmp_path / "out")])
        assert ended.exit_code == 0, ended.output
        got = runner.invoke(app, ["models", "get", "--card", own, "-o", str(tmp_path / "net.onnx")])
        assert got.stdout == f"{tmp_path / 'net.onnx'}\n"
        layers = runner.invoke(app, ["layers", own, "--size", "64"])
        assert "relu1_1" in layers.stdout and "relu2_1" in layers.stdout
        cut = runner.invoke(app, ["cut", own, "--layer", "relu1_1", "-o", str(tmp_path / "cut.onnx")])
        assert cut.exit_code == 0 and "to relu1_1" in cut.output
    assert len(server.asked) == 1
    text = (tmp_path / "out" / "run.toml").read_text(encoding="utf-8")
    assert 'layer = "relu2_1"' in text
