"""The command line of `exporters/distill.py`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from dff_onnx.errors import DffError
from dff_onnx.export.distillation.distill import distill
from dff_onnx.export.distillation.settings import Distillation, TeacherAt


def distill_script(description: str | None) -> int:
    """Parses the command line, distils, and returns the exit code; `description` is for `--help`."""
    chosen = _parser(description).parse_args()
    try:
        plan = Distillation(
            teachers=tuple(TeacherAt.parse(text, 2 * chosen.size) for text in chosen.teacher),
            energy=tuple(TeacherAt.parse(text, 2 * chosen.size) for text in chosen.energy),
            bfloat16=chosen.bfloat16,
            **{name: getattr(chosen, name) for name in OPTIONS},
        )
        made = distill(chosen.photographs, chosen.work, chosen.output, plan, chosen.begin, _say)
    except DffError as error:
        _say(f"distill.py: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("distill.py: interrupted; the same command goes on from here")
        return 130
    written, channels = made.exported, made.exported.metadata.layers[0].channels
    _say(f"{written.path}: {written.size / 1e6:.2f} MB, {channels} channels")
    return 0


OPTIONS = {
    "student": "compact, or compact_bn to train from scratch",
    "channels": "of the student's features",
    "sparsity": "share of zeros in what is learned",
    "size": "pixels of the student's square input",
    "crops": "of each photograph",
    "held_out": "photographs kept for validation",
    "epochs": "of the training",
    "batch": "crops in a step",
    "rate": "the highest learning rate",
    "seed": "of everything that is drawn",
    "threads": "of PyTorch",
}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="a folder; labels are not needed")
    parser.add_argument("--work", type=Path, required=True, help="a folder for cache, checkpoint, log")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    teacher = "FILE[:LAYER][@SIZE] of an ONNX backbone; SIZE is twice the student's by default; may be repeated"
    parser.add_argument("--teacher", action="append", required=True, help=f"whose channels are learned: {teacher}")
    parser.add_argument("--energy", action="append", default=[], help=f"of which only the strength is: {teacher}")
    parser.add_argument("--begin", type=Path, help="a checkpoint to begin with (SqueezeNet 1.1's weights fit compact)")
    parser.add_argument("--bfloat16", action="store_true", help="multiply in bfloat16")
    defaults = {f.name: f.default for f in fields(Distillation)}
    for name, text in OPTIONS.items():
        kind = type(defaults[name])
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=defaults[name], help=f"{text} [%(default)s]"
        )
    return parser
