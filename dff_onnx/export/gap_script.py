"""The command line of `exporters/gap.py`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dff_onnx.errors import DffError
from dff_onnx.export.gap import FEATURES, convert
from dff_onnx.export.options import add_gap_options, add_preprocessing_options, preprocessing_of


def gap_script(description: str | None) -> int:
    """Parses the command line, converts, and returns the exit code; `description` is for `--help`."""
    chosen = _parser(description).parse_args()
    try:
        network = convert(
            chosen.architecture, chosen.weights, chosen.layer, chosen.classes, chosen.output,
            channels=chosen.channels, pool=chosen.pool, preprocessing=preprocessing_of(chosen), seed=chosen.seed,
        )  # fmt: skip
    except DffError as error:
        sys.stderr.write(f"gap.py: {error}\n")
        return error.exit_code
    features = network.layers[-1]
    said = f"{FEATURES} {features.channels} channels, stride {features.stride}, {chosen.classes} classes"
    sys.stderr.write(f"{chosen.output}: {network.name}, {said}, not trained yet\n")
    return 0


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_gap_options(parser)
    parser.add_argument("--classes", type=int, required=True, help="of the new linear layer")
    add_preprocessing_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .onnx or .safetensors file to write")
    return parser
