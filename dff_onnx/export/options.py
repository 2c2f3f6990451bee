"""Options that several scripts share."""

from __future__ import annotations

import argparse
from dataclasses import replace

from dff_onnx.export.architectures import ARCHITECTURES, usual_preprocessing
from dff_onnx.export.gap import CHANNELS, SUFFIXES
from dff_onnx.records import Preprocessing


def add_gap_options(parser: argparse.ArgumentParser) -> None:
    """What is converted, and how."""
    add = parser.add_argument
    add("architecture", choices=ARCHITECTURES, metavar="ARCH", help="torchvision's name: vgg16, squeezenet1_1, ...")
    add("--weights", required=True, help="a .pth (torch.save) or .safetensors file, at least up to the layer")
    add("--layer", required=True, help="the last that is kept: relu5_3, fire9, inception4e, ...")
    add("--channels", type=int, default=CHANNELS, help="of the new 3x3 convolution [%(default)s]")
    add("--pool", choices=list(SUFFIXES), default="avg", help="over all places [%(default)s]")
    add("--seed", type=int, default=0, help="of everything that is drawn [%(default)s]")


def add_preprocessing_options(parser: argparse.ArgumentParser) -> None:
    """What the network was trained on."""
    add = parser.add_argument
    add("--mean", type=float, nargs=3, metavar=("R", "G", "B"), help="(x * scale - mean) / std; default: torchvision's")
    add("--std", type=float, nargs=3, metavar=("R", "G", "B"), help="see --mean")
    add("--scale", type=float, help="see --mean; pixels 0..255 are multiplied by it first")
    add("--channel-order", choices=["RGB", "BGR"], help="that the network was trained on")


def preprocessing_of(chosen: argparse.Namespace) -> Preprocessing:
    """The options as a record; what was not given is the architecture's."""
    given = {
        "mean": chosen.mean and tuple(chosen.mean),
        "std": chosen.std and tuple(chosen.std),
        "scale": chosen.scale,
        "channels": chosen.channel_order,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return replace(usual_preprocessing(chosen.architecture), **said)
