"""The command line of `exporters/finetune.py`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from dff_onnx.errors import DffError
from dff_onnx.export.finetuning.finetune import finetune
from dff_onnx.export.finetuning.settings import Finetuning
from dff_onnx.export.options import add_gap_options, add_preprocessing_options, preprocessing_of


def finetune_script(description: str | None) -> int:
    """Parses the command line, trains, and returns the exit code; `description` is for `--help`."""
    chosen = _parser(description).parse_args()
    try:
        plan = Finetuning(
            preprocessing=preprocessing_of(chosen), everything=chosen.all, channels=chosen.channels, pool=chosen.pool,
            architecture=chosen.architecture, layer=chosen.layer, seed=chosen.seed,
            **{name: getattr(chosen, name) for name in OPTIONS},
        )  # fmt: skip
        made = finetune(chosen.photographs, chosen.weights, chosen.work, chosen.output, plan, _say)
    except DffError as error:
        _say(f"finetune.py: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("finetune.py: interrupted; the same command goes on from here")
        return 130
    _say(f"{made.exported.path}: {made.exported.size / 1e6:.1f} MB, accuracy {made.accuracy:.3f} held out")
    _say(f"{made.names}: {len(made.classes)} classes")
    return 0


OPTIONS = {
    "size": "pixels of the square input",
    "crops": "views of each photograph that is learned from",
    "held_out": "share of each class's photographs that is not learned from",
    "epochs": "of the training",
    "batch": "views in a step",
    "rate": "the highest learning rate",
    "threads": "of PyTorch",
}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="a folder that has a folder of pictures for each class")
    add_gap_options(parser)
    parser.add_argument("--work", type=Path, required=True, help="a folder for cache, checkpoint, log")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    kept = "train the layers that are kept, too, at a tenth of the rate"
    parser.add_argument("--all", action="store_true", help=kept)
    defaults = {f.name: f.default for f in fields(Finetuning)}
    for name, text in OPTIONS.items():
        kind = type(defaults[name])
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=defaults[name], help=f"{text} [%(default)s]"
        )
    add_preprocessing_options(parser)
    return parser
