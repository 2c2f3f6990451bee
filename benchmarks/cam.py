"""All class maps of a folder beside their two unavoidable parts: decoding the pictures, and the whole network on them.

    DFF_ONNX_DATA=... python benchmarks/cam.py MODEL.onnx [--mean 0.5 --std 0.5] [--images 1000] [--rounds 3]

Both are measured in one process, in turns; the ratio of the best rounds is what counts on a noisy machine. Seconds of
processor time stand beside them: they depend less on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.runtime import Session, create_session
from dff_onnx.backbone.session import to_input
from dff_onnx.datasets.class_names import names_for
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.records import Preprocessing
from dff_onnx.runs.cam import run_cam
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.classifier import Classifier, open_classifier
from dff_onnx.runs.opening import Opening
from dff_onnx.runs.parts import BATCH


def main() -> int:
    """Prints seconds and their ratios."""
    arguments = _arguments()
    source = Path(os.environ["DFF_ONNX_DATA"]) / "photos"
    preprocessing = replace(TORCHVISION, mean=arguments.mean, std=arguments.std)
    # All cores on one call: what the parts do best.
    session = create_session(arguments.model.read_bytes(), "cpu")
    classifier = open_classifier(arguments.model, opening=Opening("cpu", preprocessing))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        for path in walk_pictures(source)[: arguments.images]:
            (folder / path).symlink_to(source.resolve() / path)
        parts, whole = [], []
        for round_ in range(arguments.rounds):
            parts.append(seconds(partial(decode_and_run, folder, session, preprocessing, arguments.scores)))
            whole.append(seconds(partial(all_maps, folder, Path(scratch) / f"out{round_}", classifier)))
            print(
                f"round {round_}: decoding and network {parts[-1][0]:.2f} s (processor {parts[-1][1]:.2f} s), "
                f"top-5 maps and boxes {whole[-1][0]:.2f} s (processor {whole[-1][1]:.2f} s)",
                flush=True,
            )
    walls, processors = (min(one[i] for one in whole) / min(one[i] for one in parts) for i in (0, 1))
    print(f"ratio of the best rounds {walls:.3f}, of processor time {processors:.3f}")
    return 0


def all_maps(folder: Path, out: Path, classifier: Classifier) -> None:
    """The whole command: maps, boxes and files, no overlays."""
    names = names_for(classifier.mapping.classes)
    run_cam(folder, out, classifier.backbone, classifier.mapping, names, CamSettings(overlays="none"))


def decode_and_run(folder: Path, session: Session, preprocessing: Preprocessing, scores: str) -> None:
    """What no classification can do without, one after the other."""
    paths, source = walk_pictures(folder), session.get_inputs()[0].name
    for start in range(0, len(paths), BATCH):
        pictures = [read_picture(folder / path, Resize()) for path in paths[start : start + BATCH]]
        pixels = np.stack([picture.pixels for picture in pictures])
        session.run([scores], {source: to_input(pixels, preprocessing)})


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time."""
    started, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - used


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--mean", type=_three, default=TORCHVISION.mean)
    parser.add_argument("--std", type=_three, default=TORCHVISION.std)
    parser.add_argument("--scores", default="logits", help="the output that is asked for")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _three(text: str) -> tuple[float, float, float]:
    return (float(text),) * 3


if __name__ == "__main__":
    sys.exit(main())
