"""The scripts of `exporters/`: one family of networks each, the same options."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from dff_onnx.errors import DffError
from dff_onnx.export.architectures import FAMILIES, usual_preprocessing
from dff_onnx.export.exporter import export_file


def export_script(family: str, description: str | None, layers: str) -> int:
    """Parses the command line, exports, and returns the exit code.

    Args:
        family: a key of `FAMILIES`.
        description: for `--help`.
        layers: what the family's layers are called, for `--help`.
    """
    chosen = _parser(family, description, layers).parse_args()
    preprocessing = usual_preprocessing(chosen.architecture)
    if chosen.input == "float":
        preprocessing = replace(preprocessing, layout="NCHW", dtype="float32")
    try:
        written = export_file(
            chosen.architecture, chosen.weights, chosen.output, chosen.layer, preprocessing,
            classifier=chosen.classifier,
        )  # fmt: skip
    except DffError as error:
        sys.stderr.write(f"{family}.py: {error}\n")
        return error.exit_code
    scores = f" logits ({written.classes} classes)" if written.classes else ""
    sys.stderr.write(f"{written.path} {' '.join(layer.name for layer in written.metadata.layers)}{scores}\n")
    return 0


def _parser(family: str, description: str | None, layers: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", choices=FAMILIES[family].names)
    parser.add_argument("--weights", required=True, help="a .pth (torch.save) or .safetensors file")
    parser.add_argument("--layer", action="append", default=[], help=f"{layers}; may be repeated; default: the deepest")
    parser.add_argument("--input", choices=["uint8", "float"], default="uint8", help="pixels, or normalised planes")
    fixed = "; the file then takes pictures of 224x224 only" if FAMILIES[family].classifier.side else ""
    kept = f"keep the classifier: a further output `logits`{fixed}"
    parser.add_argument("--classifier", action="store_true", help=kept)
    parser.add_argument("-o", "--output", required=True, help="the ONNX file to write")
    return parser
