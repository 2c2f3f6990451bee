"""A run over a folder, slow, that writes down which pictures go through the network: what `kill -9` hits."""

from __future__ import annotations

import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from fake_backbone import Colours

from dff_onnx.images import Resize
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

SETTINGS = Settings(k=3, resize=Resize("square", 64), overlays=3, report="none")


class Watched(Colours):
    """Takes its time, and says what it saw: a checksum of each picture, a line each.

    Args:
        log: where it says it.
        pause: seconds that a batch takes.
        most: batches, after which the next one never ends; None for any number.
    """

    def __init__(self, log: Path, pause: float, most: int | None = None) -> None:
        self._log, self._pause, self._left = log.open("ab", buffering=0), pause, most
        self._counting = threading.Lock()

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        with self._counting:
            while self._left == 0:
                time.sleep(1)
            self._left = None if self._left is None else self._left - 1
        for one in pixels:
            self._log.write(b"%d\n" % zlib.crc32(one.tobytes()))
        time.sleep(self._pause)
        return super().__call__(pixels)


def main(folder: str, out: str, log: str, pause: str, most: str | None = None) -> None:
    run(folder, out, Watched(Path(log), float(pause), None if most is None else int(most)), SETTINGS)


if __name__ == "__main__":
    main(*sys.argv[1:])
