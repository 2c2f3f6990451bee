"""`dff-onnx run --cluster`: the same options, another machine's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.cli.network_options import NetworkOptions
    from dff_onnx.concepts.bank import Bank
    from dff_onnx.datasets.class_names import ClassNames
    from dff_onnx.progress import Progress
    from dff_onnx.report.found import Found
    from dff_onnx.runs.settings import Settings


def on_cluster(
    address: str,
    folder: str,
    output: str,
    backbone: Backbone,
    opened: NetworkOptions,
    settings: Settings,
    *,
    names: ClassNames | None,
    like: Bank | None,
    overwrite: bool,
    progress: Progress,
) -> Found:
    """A run whose work the workers of a Dask cluster do.

    Args:
        address: of the scheduler.
        folder, output: paths or addresses.
        backbone: the network as it was opened here.
        opened: how it was opened: workers open the network so.
        settings, names, like, overwrite, progress: see `run_on_cluster`.

    Raises:
        UsageError: when Dask is not here.
    """
    from dff_onnx.backbone.cut import SUFFIXES
    from dff_onnx.errors import UsageError

    try:
        from dff_onnx.cluster.connect import connected
        from dff_onnx.cluster.pictures import NetworkFile
        from dff_onnx.cluster.run import run_on_cluster
    except ModuleNotFoundError as error:
        raise UsageError(f"--cluster: needs Dask ({error}): pip install 'dff-onnx[cluster]'") from error
    sign = opened.sign
    layer = (
        backbone.fingerprint.layer if sign == "keep" else backbone.fingerprint.layer.removesuffix(f"_{SUFFIXES[sign]}")
    )
    network = NetworkFile(
        backbone.path.resolve(),
        backbone.fingerprint.model_sha256,
        layer,
        opened.device.value,
        opened.preprocessing,
        sign,
    )
    with connected(address) as client:
        return run_on_cluster(
            client, folder, output, backbone, network, settings,
            names=names, like=like, overwrite=overwrite, progress=progress,
        )  # fmt: skip
