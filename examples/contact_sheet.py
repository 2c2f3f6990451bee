"""The overlays of several runs on one sheet: a row per run, a column per picture.

python examples/contact_sheet.py RUN [RUN ...] -o sheet.jpg
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

CELL = (224, 150)
GAP = 4


def main() -> int:
    """Draws the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that dff-onnx run has written")
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args()
    rows = [overlays_of(run) for run in chosen.runs]
    across, down = max(map(len, rows)), len(rows)
    sheet = Image.new("RGB", (across * (CELL[0] + GAP) - GAP, down * (CELL[1] + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, path in enumerate(row):
            with Image.open(path) as image:
                image.thumbnail(CELL)
                sheet.paste(image, (x * (CELL[0] + GAP), y * (CELL[1] + GAP)))
    sheet.save(chosen.output, quality=85)
    return 0


def overlays_of(run: Path) -> list[Path]:
    """The overlays of a run, in the order of its pictures."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return [run / image["overlay"] for image in results["images"] if image.get("overlay")]


if __name__ == "__main__":
    sys.exit(main())
