"""The command line of `exporters/torch_module.py`."""

from __future__ import annotations

import argparse
import sys

from dff_onnx.backbone.cut import Sign
from dff_onnx.errors import DffError, UsageError
from dff_onnx.export.exporter import OPSET
from dff_onnx.export.torch_module import ExportedModule, export_module, load_network
from dff_onnx.export.torch_probe import list_submodules
from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def torch_script(description: str | None) -> int:
    """Parses the command line, exports or lists, and returns the exit code.

    Args:
        description: for `--help`.
    """
    chosen = _parser(description).parse_args()
    try:
        network = load_network(chosen.network, chosen.weights)
        if chosen.list:
            for name, kind, shape in list_submodules(network, chosen.size):
                sys.stdout.write(f"{name:<40} {kind:<24} {'x'.join(map(str, shape[1:]))}\n")
            return 0
        if not chosen.layer or not chosen.output:
            raise UsageError("--layer and -o are needed; --list shows the submodules")
        sys.stderr.write(_said(_exported(network, chosen)))
    except DffError as error:
        sys.stderr.write(f"torch_module.py: {error}\n")
        return error.exit_code
    return 0


def _exported(network: object, chosen: argparse.Namespace) -> ExportedModule:
    pixels = chosen.input == "uint8"
    preprocessing = Preprocessing(
        layout="NHWC" if pixels else "NCHW",
        dtype="uint8" if pixels else "float32",
        channels=chosen.channel_order,
        mean=tuple(chosen.mean),
        std=tuple(chosen.std),
        scale=chosen.scale,
    )
    sign: Sign = "rectify" if chosen.rectify else "split" if chosen.split else "keep"
    return export_module(
        network, chosen.layer, chosen.output,
        name=chosen.network, preprocessing=preprocessing, size=chosen.size, opset=chosen.opset, sign=sign,
    )  # fmt: skip


def _said(made: ExportedModule) -> str:
    """What a person wants to know of the file."""
    probe, layer = made.probe, made.layer
    free = "any batch and size" if made.fixed is None else f"pictures of {made.fixed[0]}x{made.fixed[1]} only"
    lines = [f"{made.path}: layer {layer.name}, {layer.channels} channels, stride {layer.stride}, {free}"]
    if probe.overwritten:
        lines.append(
            f"  its output is overwritten in place by {probe.overwritten}: the file gives the values after that, "
            "as a hook does"
        )
    if probe.calls > 1:
        lines.append(f"  a picture passes through it {probe.calls} times: the file gives the last")
    if probe.form == "tokens":
        lines.append(f"  {probe.special} tokens before those of the patches are left out")
    if not layer.nonnegative:
        lines.append("  its values can be negative, which `dff-onnx run` refuses: --rectify or --split says what to do")
    parity = made.parity
    sizes = ", ".join("x".join(map(str, size)) for size in parity.sizes)
    lines.append(f"  differs from PyTorch {parity.torch} by {parity.difference:.1e} of the largest value ({sizes})")
    return "\n".join(lines) + "\n"


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("network", help="package.module:callable, file.py:callable, torchvision:NAME or timm:NAME")
    add("--weights", help="a .pth (torch.save) or .safetensors with the state dict; default: as the callable gives it")
    add("--layer", help="the submodule whose output is taken")
    add("--list", action="store_true", help="list the submodules that give a grid, and the shapes")
    add("--size", type=int, default=224, help="height and width of the pictures it is tried with")
    add("--input", choices=["uint8", "float"], default="uint8", help="pixels, or normalised planes")
    add("--mean", type=float, nargs=3, default=IMAGENET_MEAN, metavar=("R", "G", "B"), help="(x * scale - mean) / std")
    add("--std", type=float, nargs=3, default=IMAGENET_STD, metavar=("R", "G", "B"), help="see --mean")
    add("--scale", type=float, default=1 / 255, help="see --mean")
    add("--channel-order", choices=["RGB", "BGR"], default="RGB", help="that the network was trained on")
    sign = parser.add_mutually_exclusive_group()
    sign.add_argument("--rectify", action="store_true", help="negative values become 0")
    sign.add_argument("--split", action="store_true", help="every channel becomes two, its positive and negative part")
    add("--opset", type=int, default=OPSET, help=f"of the file; default: {OPSET}")
    add("-o", "--output", help="the ONNX file to write")
    return parser
