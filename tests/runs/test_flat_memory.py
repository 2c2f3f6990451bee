"""A large folder takes no more memory than a small one, where activations are kept out of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from made_pictures import picture
from torture_tier import tiers

PROGRAM = """
import sys
from pathlib import Path
from fake_backbone import Colours
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.parts import in_parts
from dff_onnx.files import walk_pictures
from dff_onnx.progress import Silent

folder, paths, seen, peaks = Path(sys.argv[1]), walk_pictures(Path(sys.argv[1])), 0, {}

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def read(path):
    return read_picture(folder / path, Resize("square", 64))

for part in in_parts(paths, read, lambda batch: len(batch), 2, Silent()):
    seen += sum(part.made)
    for mark in (len(paths) // 10, len(paths) - 64):
        if seen >= mark and mark not in peaks:
            peaks[mark] = resident()
first, last = sorted(peaks)
print(seen, peaks[last] - peaks[first])
"""


@tiers("pictures of a run in flat memory")
def test_the_last_pictures_are_read_in_the_memory_of_the_first_tenth(cases: range, tmp_path: Path) -> None:
    picture(0).save(tmp_path / "one.png")
    (tmp_path / "many").mkdir()
    for number in cases:
        (tmp_path / "many" / f"{number}.png").hardlink_to(tmp_path / "one.png")
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "many"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert ended.returncode == 0, ended.stderr
    seen, more = map(int, ended.stdout.split())
    assert seen == len(cases) and more < 20 * 2**20, "bytes"
