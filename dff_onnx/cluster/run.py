"""`dff-onnx run --cluster`: a folder in, a run's folder out, the work done by the workers of a Dask cluster."""

from __future__ import annotations

from distributed import Client

from dff_onnx.backbone.protocol import Activations
from dff_onnx.cluster.connect import reached
from dff_onnx.cluster.drivers import held
from dff_onnx.cluster.finding import found_in
from dff_onnx.cluster.home import home_of
from dff_onnx.cluster.pictures import Network
from dff_onnx.cluster.reading import read
from dff_onnx.cluster.storage import listed
from dff_onnx.cluster.writing import write_run
from dff_onnx.concepts.bank import Bank, bank_sha256
from dff_onnx.datasets.class_names import ClassNames, names_for
from dff_onnx.errors import UsageError
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Found
from dff_onnx.runs.class_evidence import Evidence, source_of
from dff_onnx.runs.discover import Beside, check_together
from dff_onnx.runs.settings import Settings


def run_on_cluster(
    client: Client,
    folder: str,
    out: str,
    activations: Activations,
    network: Network,
    settings: Settings | None = None,
    *,
    names: ClassNames | None = None,
    like: Bank | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Found:
    """`dff_onnx.runs.run` on a cluster. Of a folder on one machine it writes the same bytes.

    Args:
        client: of the cluster.
        folder: of pictures, that every worker can read: a path on storage they share, or an address for fsspec.
        out: the run's folder, likewise.
        activations: the network here, for what it says of itself; no picture goes through it.
        network: opens the same one on a worker.
        settings: how; neither `-k auto`, nor per image, foreground, the CRF or a sample.
        names, like: see `discover`.
        overwrite: replace a run of other settings.
        progress: follows the stages.

    Raises:
        UsageError: when settings do not go together, `out` belongs to something else, or another driver of the same
            scheduler is at work there.
        BankError, NoImagesError, ModelError: as `discover`.
        NetworkError: when pictures cannot be listed, the scheduler is gone, or workers are lost over and over.
        OutputError: when a file cannot be written, or another driver has taken `out` over.
    """
    settings, progress = settings or Settings(), progress or Silent()
    _check(settings)
    check_together(settings, activations, names, like, None)
    beside = {
        **({"class_names": source_of(names)} if names is not None else {}),
        **({"like": bank_sha256(like)} if like is not None else {}),
    }
    with held(client, out) as hold, home_of(folder, out) as home:
        identity = home.identity(settings.to_dict() | beside, activations.fingerprint)
        with home.claimed(identity, overwrite) as work, reached(client):
            paths = listed(folder)
            progress.start("reading", len(paths))
            spread = read(client, home.folder, paths, network, settings.resize, progress)
            progress.start("factorizing")
            made = found_in(spread, activations, settings, int(settings.k), _beside(activations, names, like))
            hold.confirm()
            home.settle(work)
            found = write_run(spread, made, settings, home, identity, progress)
            hold.confirm()
            home.finish(found)
    return found


def _beside(activations: Activations, names: ClassNames | None, like: Bank | None) -> Beside:
    head = activations.head
    return Beside(Evidence(head, names_for(head.classes, names)) if head else None, like)


def _check(settings: Settings) -> None:
    for option, there in (
        ("-k auto", settings.k == "auto"),
        ("--per-image", settings.per_image),
        ("--foreground", settings.foreground),
        ("--crf", settings.crf is not None),
        ("--sample", settings.sample is not None),
        ("--solver mu", settings.solver == "mu"),
    ):
        if there:
            raise UsageError(f"--cluster: {option} does not run on a cluster; leave one of them out")
