"""A small ILSVRC in exactly the layouts that are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Corners = tuple[int, int, int, int]  # inclusive, from 0
FOX, SETTER, TENCH = "n02119789", "n02100735", "n01440764"
# ILSVRC's own numbers are not in the synsets' order.
OWN = {FOX: 1, SETTER: 2, TENCH: 449}
HEAD = "image,rank,class,label,name,score,probability,x0,y0,x1,y1"
Guess = tuple[str, Corners | None]


def name_of(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}"


def write_annotation(folder: Path, number: int, objects: Sequence[tuple[str, Corners]]) -> Path:
    """An XML file as the archive of validation boxes has it: the file name without suffix, pixels from 0."""
    things = "".join(
        f"<object><name>{label}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, (x0, y0, x1, y1) in objects
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name_of(number)}.xml"
    path.write_text(
        f"<annotation><folder>val</folder><filename>{name_of(number)}</filename><size><width>500</width>"
        f"<height>375</height><depth>3</depth></size><segmented>0</segmented>{things}</annotation>"
    )
    return path


def write_kit(folder: Path, labels: Sequence[str], blacklist: Sequence[int] = (), year: str = "2014") -> Path:
    """The development kit's `data` folder, with files of another task beside ours."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"ILSVRC{year}_clsloc_validation"
    (folder / f"{stem}_ground_truth.txt").write_text("".join(f"{OWN[label]}\n" for label in labels))
    (folder / f"{stem}_blacklist.txt").write_text("".join(f"{number}\n" for number in blacklist))
    (folder / f"ILSVRC{year}_det_validation_blacklist.txt").write_text("1 2\n")
    words = {FOX: "kit_fox", SETTER: "English_setter", TENCH: "tench"}
    (folder / "map_clsloc.txt").write_text("".join(f"{synset} {own} {words[synset]}\n" for synset, own in OWN.items()))
    return folder


def write_solution(path: Path, pictures: Mapping[int, Sequence[tuple[str, Corners]]]) -> Path:
    """Kaggle's table: shuffled, a space behind each row."""
    rows = [
        f"{name_of(number)}," + "".join(f"{label} {' '.join(map(str, box))} " for label, box in objects)
        for number, objects in reversed(pictures.items())
    ]
    path.write_text("\n".join(["ImageId,PredictionString", *rows, ""]))
    return path


def write_predictions(path: Path, pictures: Mapping[str, Sequence[Guess]]) -> Path:
    """`predictions.csv` of `dff-onnx cam`, whose boxes are half-open; `pictures` have inclusive corners."""
    lines = [HEAD]
    for image, guesses in pictures.items():
        for rank, (label, box) in enumerate(guesses, 1):
            corners = ",,," if box is None else f"{box[0]},{box[1]},{box[2] + 1},{box[3] + 1}"
            lines.append(f"{image},{rank},7,{label},a name,-1.5,0.25,{corners}")
    path.write_text("\r\n".join([*lines, ""]), encoding="utf-8")
    return path
