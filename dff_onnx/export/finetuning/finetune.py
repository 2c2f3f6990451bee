"""The front door: a checkpoint and folders of photographs in, an ONNX classifier with class maps out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.export.cached_array import Say
from dff_onnx.export.checkpoint import open_checkpoint
from dff_onnx.export.exporter import Exported, write_network
from dff_onnx.export.finetuning.photographs import read_photographs
from dff_onnx.export.finetuning.settings import Finetuning
from dff_onnx.export.finetuning.train import train
from dff_onnx.export.finetuning.views import fill
from dff_onnx.export.gap import FEATURES, gap_network, gap_weights
from dff_onnx.export.safetensors import safetensors_bytes
from dff_onnx.export.torch_runner import require_torch
from dff_onnx.files import write_atomically

# What was trained, in the folder of the training: to go on from, or to convert.
TRAINED = "finetuned.safetensors"


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What came of it.

    Attributes:
        exported: the ONNX file.
        names: the text file of the classes' names, one a line.
        classes: they themselves, by number.
        log: the figures of every epoch; see `train.Figures`.
    """

    exported: Exported
    names: Path
    classes: tuple[str, ...]
    log: tuple[dict[str, float], ...]

    @property
    def accuracy(self) -> float:
        """Of the pictures held out, at the end."""
        return self.log[-1]["accuracy"]


def finetune(
    photographs: Path, weights: str | Path, work: Path, output: Path, plan: Finetuning, say: Say = print
) -> Finetuned:
    """Trains a network with a new, pooled end on classes. Needs PyTorch; run again, it goes on.

    The ONNX file gives the features `cam_relu` and `logits`, and has the head's weights beside them.

    Args:
        photographs: a folder that has a folder of pictures for each class.
        weights: a checkpoint, at least up to the layer; new layers are taken where it has them.
        work: a folder for the cache, the checkpoint, `log.jsonl` and `finetuned.safetensors`.
        output: the ONNX file to write; the names of the classes lie beside it, in `NAME.classes.txt`.
        plan: network and training.
        say: takes lines of progress.

    Raises:
        UsageError: when PyTorch is missing, the folder has no classes, or `work` holds a training of other settings.
        NoImagesError: when there are no pictures.
        CheckpointError: when the weights do not fit.
        OutputError: when a file cannot be written.
    """
    require_torch("fine-tuning")
    found = read_photographs(photographs, plan.held_out)
    network = gap_network(plan.architecture, plan.layer, len(found.classes), plan.channels, plan.pool)
    with open_checkpoint(weights) as checkpoint:
        begin = gap_weights(network, plan.architecture, checkpoint, plan.seed)
    views = fill(work, found, plan, network, begin, say)
    say(f"{len(found.classes)} classes, {len(views.learned)} pictures to learn from, {len(views.tested)} held out")
    trained, log = train(work, network, begin, views, plan, say)
    write_atomically(work / TRAINED, safetensors_bytes(trained))
    properties = {"dff.finetuning": json.dumps(plan.to_dict() | {"accuracy": log[-1]["accuracy"]})}
    names = output.with_suffix(".classes.txt")
    write_atomically(names, "".join(f"{name}\n" for name in found.classes).encode())
    with open_checkpoint(work / TRAINED) as checkpoint:
        exported = write_network(network, checkpoint, output, [FEATURES], plan.preprocessing, properties)
    return Finetuned(exported, names, found.classes, log)
