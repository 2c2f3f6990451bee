"""The papers' evaluations: scores of every picture, tables with intervals, published rows beside ours."""

from dff_onnx.evaluation.compare import Comparison, compare, comparison_text
from dff_onnx.evaluation.compare_retrieval import (
    ComparedRetrieval,
    RetrievalComparison,
    compare_retrieval,
    retrieval_comparison_text,
)
from dff_onnx.evaluation.duration import voc_2007_time
from dff_onnx.evaluation.folder import check_plot, claimed, evaluation_identity, write_folder
from dff_onnx.evaluation.group_classes import class_layer
from dff_onnx.evaluation.ilsvrc import IlsvrcFigures, IlsvrcOpened, IlsvrcScore, evaluate_ilsvrc, open_ilsvrc
from dff_onnx.evaluation.ilsvrc_text import ilsvrc_json, ilsvrc_markdown, ilsvrc_plot, ilsvrc_terminal
from dff_onnx.evaluation.localize import evaluate
from dff_onnx.evaluation.markdown import bars, markdown
from dff_onnx.evaluation.opening import Opened, VocChoice, open_boxes, open_masks, open_parts
from dff_onnx.evaluation.part_scores import PartFigures
from dff_onnx.evaluation.part_text import parts_identity, parts_json, parts_markdown, parts_plot, parts_terminal
from dff_onnx.evaluation.parts import PartPlan, evaluate_parts
from dff_onnx.evaluation.published_retrieval import PublishedRetrieval, published_retrieval
from dff_onnx.evaluation.reranking import Reranking
from dff_onnx.evaluation.retrieval import evaluate_retrieval
from dff_onnx.evaluation.retrieval_opening import open_retrieval
from dff_onnx.evaluation.retrieval_scores import (
    PairedDifference,
    QueryScore,
    RetrievalFigures,
    paired_difference,
    score_rankings,
    score_similarities,
)
from dff_onnx.evaluation.retrieval_stored import StoredRetrieval, read_retrieval, retrieval_identity, retrieval_json
from dff_onnx.evaluation.retrieval_systems import RetrievalPlan, RetrievalSystem, retrieval_systems
from dff_onnx.evaluation.retrieval_table import Contest, RetrievalRow, RetrievalTable, retrieval_tables
from dff_onnx.evaluation.retrieval_text import retrieval_markdown, retrieval_plot, retrieval_terminal
from dff_onnx.evaluation.scores import Figures, GroupClass, ImageScore
from dff_onnx.evaluation.stored import figures_json, identity, kind_of, read_figures
from dff_onnx.evaluation.systems import KNOWN, ClassSettings, System, systems_named
from dff_onnx.evaluation.table import Row, Table, tables
from dff_onnx.evaluation.text import terminal
from dff_onnx.evaluation.where import WhereFigures, WherePlan, WhereScore, evaluate_where
from dff_onnx.evaluation.where_table import (
    WhereRow,
    where_identity,
    where_json,
    where_markdown,
    where_plot,
    where_rows,
    where_text,
)

__all__ = [
    "KNOWN",
    "ClassSettings",
    "ComparedRetrieval",
    "Comparison",
    "Contest",
    "Figures",
    "GroupClass",
    "IlsvrcFigures",
    "IlsvrcOpened",
    "IlsvrcScore",
    "ImageScore",
    "Opened",
    "PairedDifference",
    "PartFigures",
    "PartPlan",
    "PublishedRetrieval",
    "QueryScore",
    "Reranking",
    "RetrievalComparison",
    "RetrievalFigures",
    "RetrievalPlan",
    "RetrievalRow",
    "RetrievalSystem",
    "RetrievalTable",
    "Row",
    "StoredRetrieval",
    "System",
    "Table",
    "VocChoice",
    "WhereFigures",
    "WherePlan",
    "WhereRow",
    "WhereScore",
    "bars",
    "check_plot",
    "claimed",
    "class_layer",
    "compare",
    "compare_retrieval",
    "comparison_text",
    "evaluate",
    "evaluate_ilsvrc",
    "evaluate_parts",
    "evaluate_retrieval",
    "evaluate_where",
    "evaluation_identity",
    "figures_json",
    "identity",
    "ilsvrc_json",
    "ilsvrc_markdown",
    "ilsvrc_plot",
    "ilsvrc_terminal",
    "kind_of",
    "markdown",
    "open_boxes",
    "open_ilsvrc",
    "open_masks",
    "open_parts",
    "open_retrieval",
    "paired_difference",
    "parts_identity",
    "parts_json",
    "parts_markdown",
    "parts_plot",
    "parts_terminal",
    "published_retrieval",
    "read_figures",
    "read_retrieval",
    "retrieval_comparison_text",
    "retrieval_identity",
    "retrieval_json",
    "retrieval_markdown",
    "retrieval_plot",
    "retrieval_systems",
    "retrieval_tables",
    "retrieval_terminal",
    "score_rankings",
    "score_similarities",
    "systems_named",
    "tables",
    "terminal",
    "voc_2007_time",
    "where_identity",
    "where_json",
    "where_markdown",
    "where_plot",
    "where_rows",
    "where_text",
    "write_folder",
]
