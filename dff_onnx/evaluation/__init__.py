"""The papers' evaluations: scores of every picture, tables with intervals, published rows beside ours."""

from dff_onnx.evaluation.compare import Comparison, compare, comparison_text
from dff_onnx.evaluation.duration import voc_2007_time
from dff_onnx.evaluation.folder import check_evaluation, check_folder, check_plot, write_folder
from dff_onnx.evaluation.localize import evaluate
from dff_onnx.evaluation.markdown import bars, markdown
from dff_onnx.evaluation.opening import Opened, VocChoice, open_boxes, open_masks, open_parts
from dff_onnx.evaluation.part_scores import PartFigures
from dff_onnx.evaluation.part_text import parts_identity, parts_json, parts_markdown, parts_plot, parts_terminal
from dff_onnx.evaluation.parts import PartPlan, evaluate_parts
from dff_onnx.evaluation.scores import Figures, ImageScore
from dff_onnx.evaluation.stored import figures_json, identity, read_figures
from dff_onnx.evaluation.systems import KNOWN, System, systems_named
from dff_onnx.evaluation.table import Row, Table, tables
from dff_onnx.evaluation.text import terminal

__all__ = [
    "KNOWN",
    "Comparison",
    "Figures",
    "ImageScore",
    "Opened",
    "PartFigures",
    "PartPlan",
    "Row",
    "System",
    "Table",
    "VocChoice",
    "bars",
    "check_evaluation",
    "check_folder",
    "check_plot",
    "compare",
    "comparison_text",
    "evaluate",
    "evaluate_parts",
    "figures_json",
    "identity",
    "markdown",
    "open_boxes",
    "open_masks",
    "open_parts",
    "parts_identity",
    "parts_json",
    "parts_markdown",
    "parts_plot",
    "parts_terminal",
    "read_figures",
    "systems_named",
    "tables",
    "terminal",
    "voc_2007_time",
    "write_folder",
]
