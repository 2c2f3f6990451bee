"""What a page tells about the run as a whole: tables with their plots, and the foot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dff_onnx.metrics.statistics import Interval
from dff_onnx.report.choice_plot import choice_svg
from dff_onnx.report.faithfulness_plot import faithfulness_svg
from dff_onnx.report.figures import AppliedFound, ChoiceFound, FaithfulnessFound, ForegroundFound, TruthFound
from dff_onnx.report.found import Failure, Found, ImageFound
from dff_onnx.report.page.thumbs import text_of

ROWS = 100  # of a list of pictures
LONGEST = 400  # characters of a text
FOOT = (("settings", "Settings"), ("bank", "Bank"), ("quality", "Fit"), ("fingerprint", "Fingerprint"))
PATHS = ("truth",)  # settings that are folders: of them the last part
Section = dict[str, Any]


def sections_of(found: Found) -> list[Section]:
    """What there is to tell, in the order of interest."""
    sections: list[Section] = []
    if found.applied is not None:
        sections.append(_applied(found.applied, found.unexplained))
    if found.choice is not None:
        sections.append(_choice(found.choice))
    if found.truth is not None:
        sections.append(_truth(found.truth))
    if found.faithfulness is not None:
        sections.append(_faithfulness(found.faithfulness))
    if found.foreground is not None and found.foreground.trials:
        sections.append(_trials(found.foreground))
    if found.failures:
        sections.append(_failures(found.failures))
    return sections


def foot(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings, fit, fingerprint and versions, as `run.toml` has them; not where pictures and masks lie."""
    groups = [{"title": title, "rows": _rows(tables[name])} for name, title in FOOT if tables.get(name)]
    made = tables.get("made", {})
    versions = [["device", str(made["device"])]] if "device" in made else []
    versions += _rows(made.get("versions", {}))
    return [*groups, {"title": "Versions", "rows": versions}] if versions else groups


def short(text: str, most: int = LONGEST) -> str:
    """The text, cut where it is longer.

    >>> short("elephant", 5)
    'elep…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.6123)
    '61.2 %'
    """
    return f"{100 * share:.1f} %"


def _section(
    title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]], plots: Sequence[str] = ()
) -> Section:
    images = [text_of(plot.encode()) for plot in plots]
    return {
        "title": title,
        "note": note,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "plots": images,
    }


def _applied(applied: AppliedFound, unexplained: Sequence[ImageFound]) -> Section:
    if applied.limit is None:
        note = "The bank does not know how well it explains its own pictures."
    else:
        usual = "" if applied.usual is None else f"Half of the bank's own pictures lose {applied.usual:.3f} at most. "
        note = f"{usual}Those that lose more than {applied.limit:.3f} are not explained by it: {len(unexplained)}."
    rows = [[short(image.path), _figure(image.loss)] for image in unexplained[:ROWS]]
    columns = ("picture", "loss") if rows else ()
    return _section("Pictures the bank does not explain", note + _rest(unexplained), columns, rows)


def _choice(choice: ChoiceFound) -> Section:
    rows = [
        [str(one.k), percent(one.explained), _figure(one.seeds), _figure(one.halves), _mark(one.k == choice.k)]
        for one in choice.tried
    ]
    columns = ("k", "explained", "agreement of starts", "agreement of halves", "chosen")
    return _section("Choice of k", short(choice.reason, 1000), columns, rows, [choice_svg(choice.tried, choice.k)])


def _truth(truth: TruthFound) -> Section:
    rows = [
        [str(number), *_interval(iou), *_interval(corloc)]
        for number, (iou, corloc) in enumerate(zip(truth.iou, truth.corloc, strict=True))
    ]
    best = " and ".join(str(number) for number in truth.best) or "none"
    note = (
        f"{_pictures(truth.images)} masks drawn by somebody. Best union of concepts ({best}): "
        f"IoU {truth.union.estimate:.3f}, {truth.union.low:.3f} to {truth.union.high:.3f}; which concepts it is made "
        "of was chosen by the masks. Intervals hold 95 % of the draws of a bootstrap over the pictures."
    )
    columns = ("concept", "IoU", "from", "to", "CorLoc", "from", "to")
    return _section("Beside the ground truth", note, columns, rows)


def _faithfulness(faithfulness: FaithfulnessFound) -> Section:
    concepts, control = faithfulness.concepts, faithfulness.control
    rows = [[str(number), *_interval(one)] for number, one in enumerate(concepts.importance)]
    rows += [[f"random {number}", *_interval(one)] for number, one in enumerate(control.importance)]
    note = (
        f"What the classifier's {faithfulness.score} does while concepts are taken away or put in, strongest first, on "
        f"{faithfulness.images} pictures, beside as many random concepts. With the concepts in place of the features "
        f"{percent(concepts.fidelity.estimate)} of the pictures keep their first class; with random ones "
        f"{percent(control.fidelity.estimate)}. Compare the two where concepts are put in: random ones have little to "
        "lose. Importance is the total Sobol index; intervals hold 95 % of the draws of a bootstrap over the pictures."
    )
    columns = ("concept", "importance", "from", "to")
    return _section("Faithfulness to the classifier", note, columns, rows, [faithfulness_svg(faithfulness)])


def _trials(foreground: ForegroundFound) -> Section:
    rows = [
        [
            str(number),
            str(one.pixels),
            one.prior,
            *(_figure(value) for value in (one.quality, one.bimodality, one.overlap, one.halves, one.contact)),
            _mark(number == foreground.chosen),
        ]
        for number, one in enumerate(foreground.trials)
    ]
    note = (
        f"Several starts were tried; the one of the highest quality was taken. How sure one may be: {foreground.sure}; "
        f"the masks of the others overlap with its masks by {foreground.agreement:.2f} (mean IoU)."
    )
    columns = ("trial", "pixels", "prior", "quality", "bimodality", "overlap", "halves", "contact", "taken")
    return _section("Trials of the foreground", note, columns, rows)


def _failures(failures: Sequence[Failure]) -> Section:
    rows = [[short(one.path), short(one.reason)] for one in failures[:ROWS]]
    return _section("Pictures that could not be used", _rest(failures).strip(), ("picture", "why"), rows)


def _rest(listed: Sequence[Any]) -> str:
    return f" The first {ROWS} of {len(listed)}." if len(listed) > ROWS else ""


def _pictures(many: int) -> str:
    return "1 picture has a mask among the" if many == 1 else f"{many} pictures have"


def _interval(one: Interval) -> list[str]:
    return [_figure(one.estimate), _figure(one.low), _figure(one.high)]


def _mark(there: bool) -> str:
    return "yes" if there else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _rows(table: Mapping[str, Any], before: str = "") -> list[list[str]]:
    """A table's entries, those of inner tables with both names."""
    rows: list[list[str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{before}{key} ")
        else:
            text = Path(value).name if f"{before}{key}" in PATHS else _text(value)
            rows.append([f"{before}{key}", short(text)])
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
