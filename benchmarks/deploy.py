"""What concepts cost beside their network: compiled files and the bare network, in turns, in one process.

    python benchmarks/deploy.py [NETWORK.onnx ...] [--size 224] [-k 8] [--rounds 100]

The bare network takes the same pixels and gives its activations. Pictures are those of examples/bunny, the bank is
found in them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import Session, create_session
from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Bank
from dff_onnx.deploy import Form, compiled_bank
from dff_onnx.deploy.network import feature_network
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.discover import discover
from dff_onnx.runs.opening import unsigned
from dff_onnx.runs.settings import Settings

PICTURES = Path(__file__).parent.parent / "examples" / "bunny"
FORMS = {
    "regions": Form(),
    "no heat maps": Form(heatmaps=False),
    "tight boxes": Form(tight_boxes=True),
    "neither": Form(tight_boxes=True, heatmaps=False),
    "unrolled": Form(unroll=20),
    "unr., no maps": Form(unroll=20, heatmaps=False),
}


def main() -> None:
    """Prints a table for each network."""
    arguments = _arguments()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(f"onnxruntime {_version()}, {arguments.size} x {arguments.size}, k = {arguments.k}, least of the rounds")
    resize = Resize("square", arguments.size)
    pixels = np.stack([read_picture(path, resize).pixels for path in sorted(PICTURES.iterdir())])
    for path in arguments.networks or [embedded_model()]:
        backbone = Backbone.open(path, threads=1)
        bank = discover(PICTURES, backbone, Settings(k=arguments.k, resize=resize)).bank()
        assert bank is not None
        models = {"bare": bare(bank, path)} | {name: compiled(bank, path, form) for name, form in FORMS.items()}
        sizes = {name: len(model) - Path(path).stat().st_size for name, model in models.items()}
        print(
            f"\n{Path(path).name}, layer {backbone.fingerprint.layer}: {max(sizes.values()) / 1000:.0f} kB more at most"
        )
        for threads, batch, told in itertools.product((1, 2), (1, 4), (False, True)):
            shape = (batch, arguments.size, arguments.size) if told else None
            sessions = {name: create_session(of_size(model, shape), "cpu", threads) for name, model in models.items()}
            report(threads, batch, told, measured(sessions, pixels[:batch], arguments.rounds))


def bare(bank: Bank, path: Path) -> bytes:
    """The network up to the bank's layer, from pixels."""
    file = load_model(path)
    network = feature_network(file, *unsigned(file, bank.fingerprint.layer), bank.fingerprint.preprocessing)
    activations = helper.make_tensor_value_info(network.features, TensorProto.FLOAT, [None] * 4)
    network.model.graph.output.append(activations)
    return _bytes(network.model)


def compiled(bank: Bank, path: Path, form: Form) -> bytes:
    """The bank and its network."""
    file = load_model(path)
    return _bytes(compiled_bank(bank, file, *unsigned(file, bank.fingerprint.layer), form))


def _bytes(model: ModelProto) -> bytes:
    model.ir_version = max(model.ir_version, 8)
    return bytes(model.SerializeToString())


def of_size(model: bytes, shape: tuple[int, int, int] | None) -> bytes:
    """The model with its free axes fixed, as an application may tell its runtime; None leaves them free."""
    if shape is None:
        return model
    made = ModelProto.FromString(model)
    for axis, size in zip(made.graph.input[0].type.tensor_type.shape.dim, shape, strict=False):
        axis.dim_value = size
    for output in made.graph.output:
        output.type.tensor_type.ClearField("shape")
    return bytes(made.SerializeToString())


def measured(sessions: dict[str, Session], pixels: NDArray[np.uint8], rounds: int) -> dict[str, float]:
    """The least seconds of each, all of them once a round."""
    least = dict.fromkeys(sessions, float("inf"))
    for _ in range(rounds):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, {"image": pixels})
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def report(threads: int, batch: int, told: bool, seconds: dict[str, float]) -> None:
    """A line: milliseconds a batch of the bare network, and what the forms take beyond it."""
    base = seconds["bare"]
    more = "".join(f"{100 * (seconds[name] / base - 1):>12.1f} %" for name in FORMS)
    print(f"  {threads:>7}, {batch:>5}, {'told' if told else 'free':<5}{1000 * base:>10.2f}{more}", flush=True)


def _version() -> str:
    for name in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "?"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    return parser.parse_args()


if __name__ == "__main__":
    main()
