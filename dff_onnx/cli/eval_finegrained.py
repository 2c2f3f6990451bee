"""`dff-onnx eval finegrained`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dff_onnx.cli.eval_options import AsJson, Output, Overwrite, ended, told
from dff_onnx.cli.features import PoolChoice, PoolOption
from dff_onnx.cli.fit import NoUnit, Penalty, penalty_of
from dff_onnx.cli.network_options import NetworkOptions, with_network
from dff_onnx.cli.options import LongSide, ShortSide, Size, resize_of

if TYPE_CHECKING:
    from dff_onnx.evaluation.finegrained import FineFigures


@with_network()
def finegrained(
    dataset: Annotated[Path, typer.Argument(help="The folder of CUB-200-2011, or of a set in its layout.")],
    pool: PoolOption = PoolChoice.avg,
    c: Penalty = "1.0",
    no_unit: NoUnit = False,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    *,
    network: NetworkOptions,
) -> None:
    """Fine-grained recognition: linear machines on deep features, of full pictures and of crops.

    Accuracy on the test set of full pictures, of crops by the classifier's own class maps, and of crops by the true
    boxes. Needs scikit-learn: pip install 'dff-onnx[learn]'. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.cub import read_cub
    from dff_onnx.evaluation import claimed
    from dff_onnx.evaluation.finegrained import FineSettings, evaluate_finegrained
    from dff_onnx.evaluation.finegrained_text import finegrained_identity

    settings = FineSettings(resize_of(size, short_side, long_side), pool.pool, penalty_of(c), not no_unit)
    opened = read_cub(dataset)
    with ExitStack() as until_written:
        with shown() as progress:
            backbone = network.open(progress)
            identity = finegrained_identity(opened, backbone, settings)
            resume = until_written.enter_context(claimed(output, identity, overwrite))
            figures = evaluate_finegrained(opened, backbone, settings, progress, resume)
        _scored(figures, output, as_json)


def _scored(figures: FineFigures, output: Path | None, as_json: bool) -> None:
    from dff_onnx.evaluation.finegrained_text import (
        finegrained_json,
        finegrained_markdown,
        finegrained_plot,
        finegrained_terminal,
    )

    drawn = finegrained_markdown(figures), finegrained_plot(figures)
    told(output, as_json, finegrained_json(figures), finegrained_terminal(figures), *drawn)
    ended(figures.notes, figures.failures)
