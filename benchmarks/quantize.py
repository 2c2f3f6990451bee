"""What eight bits cost real networks, and what they give.

    DFF_ONNX_DATA=... python benchmarks/quantize.py [steps|pictures|groups|speed|emulated ...]

`steps`: ONNX Runtime's tool alone beside what `dff-onnx quantize` does around it. `pictures`: how many to calibrate on.
`groups`: the 21 groups of iCoseg with one and four concepts, float beside eight bits, and both beside the true masks.
`speed`: by turns, at one and two threads. `emulated`: the same file on a processor without VNNI, by the program that
QEMU names (`QEMU=qemu-x86_64`).
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from icoseg_k1 import box_of, ground_truth, mask_of, overlap
from numpy.typing import NDArray
from onnx import ModelProto

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.graph import default_layer
from dff_onnx.backbone.image_input import image_input
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.runtime import create_session
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.concepts.matching import match
from dff_onnx.deploy.quantize import quantized
from dff_onnx.export import export_file
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize, read_picture
from dff_onnx.progress import Silent
from dff_onnx.records import Preprocessing
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.quantize import IMAGES, Effect, effect_on
from dff_onnx.runs.settings import Settings

HALF = Preprocessing(mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
OXFORD = Preprocessing(mean=(123.68, 116.779, 103.939), std=(1.0,) * 3, scale=1.0)
SIZE = Resize("square", 224)
HELD_OUT = 60  # photographs of iCoseg for `steps` and `pictures`
EMULATOR = [os.environ.get("QEMU", "qemu-x86_64"), "-cpu", "Haswell"]
Pixels = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Network:
    """A real network up to a layer, in float."""

    name: str
    file: ModelFile

    def open(self, model: ModelProto | None = None, threads: int = 1) -> Backbone:
        """It, or what was made of it."""
        file = replace(self.file, model=model) if model else self.file
        return Backbone.open(file, device="cpu", threads=threads)

    def feeds(self, count: int, draw: int = 0) -> list[NDArray[Any]]:
        """Photographs to calibrate on, as its input takes them."""
        return [to_input(one[None], self.open().fingerprint.preprocessing) for one in photos(draw)[:count]]


def main() -> int:
    """Prints the tables that were asked for, or all that need no emulator."""
    if sys.argv[1:2] == ["--values"]:
        return values(*sys.argv[2:5])
    parts = {"steps": steps, "pictures": pictures, "groups": groups, "speed": speed, "emulated": emulated}
    for part in sys.argv[1:] or list(parts)[:4]:
        print(f"\n== {part}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            parts[part](list(networks(Path(scratch))))
    return 0


def data() -> Path:
    """Real networks and photographs."""
    return Path(os.environ["DFF_ONNX_DATA"])


def networks(scratch: Path) -> Iterator[Network]:
    """The five networks of the data folder, and the embedded one, cut at their layers."""
    models = data() / "models"
    yield Network("compact", load_model(embedded_model()))
    said: Sequence[tuple[str, str, Preprocessing]] = (
        ("squeezenet1_1", "/fires.7/Concat_output_0", Preprocessing()),
        ("mobilenetv2-cam", "features", HALF),
        ("resnet50v2-stage3", "features", Preprocessing()),
    )
    for name, layer, preprocessing in said:
        yield Network(name, shortened(load_model(models / f"{name}.onnx"), layer, preprocessing))
    for name, stem, given in (("resnet18", "resnet18-layer3", None), ("vgg19", "vgg19-relu3_4", OXFORD)):
        made = export_file(name, models / f"{stem}.safetensors", scratch / f"{stem}.onnx", (), given)
        file = load_model(made.path)
        yield Network(stem, shortened(file, default_layer(file.model, file.path), None))


def shortened(file: ModelFile, layer: str, preprocessing: Preprocessing | None) -> ModelFile:
    """The file as if it held nothing behind the layer."""
    return replace(file, model=cut(file, [layer], preprocessing=preprocessing))


@cache
def photos(draw: int = 0) -> Pixels:
    """300 photographs to calibrate on, in an order by chance; three draws have none in common."""
    folder = data() / "photos"
    order = np.random.default_rng(0).permutation(len(walk_pictures(folder)))[300 * draw : 300 * draw + 300]
    return [read_picture(folder / walk_pictures(folder)[i], SIZE).pixels for i in order]


def held_out(backbone: Backbone) -> Collected:
    """Activations of photographs that nothing was calibrated on."""
    folder = data() / "icoseg" / "images"
    paths = walk_pictures(folder)
    return collect(folder, paths[:: len(paths) // HELD_OUT], backbone, SIZE, Silent())


def ours(network: Network, count: int = IMAGES, draw: int = 0) -> ModelProto:
    """As `dff-onnx quantize` makes it."""
    return quantized(network.file.model, network.file.path, network.feeds(count, draw).__getitem__, count)


def alone(method: str, per_channel: bool) -> Callable[[Network, int], ModelProto]:
    """ONNX Runtime's tool and its own step before, as its documentation has it."""

    def made(network: Network, count: int) -> ModelProto:
        from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        name = image_input(network.file.model, network.file.path).name
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            source, before, after = (Path(folder) / f"{step}.onnx" for step in ("source", "before", "after"))
            source.write_bytes(network.file.model.SerializeToString())
            quant_pre_process(source, before, skip_symbolic_shape=True)
            quantize_static(
                before,
                after,
                _Reader(name, network, count),
                per_channel=per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod[method],
                extra_options={"CalibTensorRangeSymmetric": False, "CalibStridedMinMax": 1},
            )
            model: ModelProto = onnx.load(after)
        onnx.helper.set_model_props(model, {one.key: one.value for one in network.file.model.metadata_props})
        return model

    return made


class _Reader:
    """Photographs as the tool asks for them."""

    def __init__(self, name: str, network: Network, count: int) -> None:
        self._feeds = [{name: feed} for feed in network.feeds(count)]
        self._ahead = iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._ahead = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._ahead, None)


def told(effect: Effect) -> str:
    """One row of figures."""
    return (
        f"error {effect.error:6.3f}  cosine of cells {effect.cosine:.4f}  of concepts, least "
        f"{min(one.cosine for one in effect.concepts):.4f}  masks {effect.iou:.3f}  applied {effect.applied:.3f}"
    )


def steps(found: Sequence[Network]) -> None:
    """The tool alone, and with what is done around it."""
    ways = {
        "tool, minmax, per tensor": alone("MinMax", per_channel=False),
        "tool, minmax, per channel": alone("MinMax", per_channel=True),
        "tool, percentile": alone("Percentile", per_channel=True),
        "tool, entropy": alone("Entropy", per_channel=True),
        "dff-onnx quantize": ours,
    }
    for network in found:
        exact = held_out(network.open())
        for name, way in ways.items():
            made = way(network, IMAGES)
            ratio = timed(network, made, 1, 1)[2]
            effect = effect_on(exact, held_out(network.open(made)), 4)
            print(f"{network.name:<18} {name:<26} {told(effect)}  {ratio:.2f} times as fast", flush=True)


def pictures(found: Sequence[Network]) -> None:
    """How many pictures to calibrate on: three draws of each."""
    for network in found:
        exact = held_out(network.open())
        for count in (5, 20, 100, 300):
            begun = time.perf_counter()
            made = [ours(network, count, draw) for draw in range(3)]
            spent = (time.perf_counter() - begun) / 3
            effects = [effect_on(exact, held_out(network.open(one)), 4) for one in made]
            errors, masks = ([getattr(one, what) for one in effects] for what in ("error", "iou"))
            shown = "  ".join(f"{error:.3f} {iou:.3f}" for error, iou in zip(errors, masks, strict=True))
            print(f"{network.name:<18} {count:>3} pictures  {shown}  {spent:5.1f} s", flush=True)


@dataclass(frozen=True)
class Beside:
    """One group under both networks.

    Attributes:
        name: of the group.
        effects: of one and of four concepts.
        ious, hits: with the true masks, one concept: float and eight bits.
        pairs: of each of four concepts: the IoU of its masks, and how much its IoU with the truth changes.
    """

    name: str
    effects: tuple[Effect, Effect]
    ious: tuple[float, float]
    hits: tuple[tuple[bool, ...], tuple[bool, ...]]
    pairs: list[tuple[float, float]]


def groups(found: Sequence[Network]) -> None:
    """Float beside eight bits, group by group."""
    pairs: list[tuple[float, float]] = []
    for network in found:
        ways = {"dff-onnx quantize": ours(network), "tool, minmax": alone("MinMax", per_channel=True)(network, IMAGES)}
        rows: dict[str, list[Beside]] = {way: [] for way in ways}
        for folder in sorted((data() / "icoseg" / "images").iterdir()):
            exact = collect(folder, walk_pictures(folder), network.open(), SIZE, Silent())
            for way, made in ways.items():
                rounded = collect(folder, walk_pictures(folder), network.open(made), SIZE, Silent())
                rows[way].append(beside(network, folder, exact, rounded))
        for way, ones in rows.items():
            print(f"\n{network.name}, {way}")
            table(ones)
            pairs += [pair for one in ones for pair in one.pairs]
    print("\nIoU of a concept's masks in both networks, and the change of its IoU with the truth (k = 4):")
    for low, high in ((0.95, 1.01), (0.9, 0.95), (0.85, 0.9), (0.75, 0.85), (0.5, 0.75), (0.0, 0.5)):
        inside = [change for iou, change in pairs if low <= iou < high]
        print(f"  {low:.2f} to {min(high, 1):.2f}: {len(inside):>4} concepts", end="")
        print(f", change {np.mean(inside):.3f} on average, {max(inside):.3f} at most" if inside else "")


def beside(network: Network, folder: Path, exact: Collected, rounded: Collected) -> Beside:
    """One group."""
    one, four = (effect_on(exact, rounded, k) for k in (1, 4))
    first = [discover_in(rows, folder, network.open(), Settings(k=1)) for rows in (exact, rounded)]
    more = [discover_in(rows, folder, network.open(), Settings(k=4)) for rows in (exact, rounded)]
    before, after = (true_ious(made) for made in more)
    assert more[0].W is not None and more[1].W is not None
    changes = [abs(before[pair.ours] - after[pair.theirs]) for pair in match(more[0].W, more[1].W)]
    return Beside(
        name=folder.name,
        effects=(one, four),
        ious=(true_ious(first[0])[0], true_ious(first[1])[0]),
        hits=(hits(first[0]), hits(first[1])),
        pairs=[(concept.iou, change) for concept, change in zip(four.concepts, changes, strict=True)],
    )


@cache
def truth(group: str, stem: str) -> NDArray[np.bool_]:
    """A mask that somebody drew."""
    return ground_truth(data() / "icoseg" / "ground_truth" / group / f"{stem}.png")


def true_ious(found: Discovery) -> list[float]:
    """Of each concept's masks with the truth, over a group."""
    counts = np.zeros((len(found.found.concepts), 2))
    for index, path in enumerate(found.paths):
        drawn = truth(found.folder.name, path.stem)
        for concept in range(len(counts)):
            on = mask_of(found, index, concept)
            counts[concept] += (on & drawn).sum(), (on | drawn).sum()
    return [float(inter / union) for inter, union in counts]


def hits(found: Discovery) -> tuple[bool, ...]:
    """Of which pictures the first concept's box is right (CorLoc)."""
    boxes = [image.concepts[0].box for image in found.found.images]
    true = [box_of(truth(found.folder.name, path.stem)) for path in found.paths]
    return tuple(a is not None and overlap(a, b) > 0.5 for a, b in zip(boxes, true, strict=True))


def table(rows: Sequence[Beside]) -> None:
    """Groups and means."""
    print(f"{'':<30} k=1: cosine  masks k=4: least  masks  least applied           IoU        CorLoc")
    figures = []
    for row in rows:
        one, four = row.effects
        located = [sum(found) / len(found) for found in row.hits]
        least = [min(getattr(concept, what) for concept in four.concepts) for what in ("cosine", "iou")]
        figures.append(
            (one.concepts[0].cosine, one.iou, least[0], four.iou, least[1], four.applied, *row.ious, *located)
        )
        print(shown(row.name[:30], figures[-1]))
    print(shown("mean", tuple(np.mean(figures, axis=0))))
    print(shown("least", tuple(np.min(figures, axis=0))[:6]))
    flips = [(a, b) for row in rows for a, b in zip(*row.hits, strict=True)]
    error, cosine = (np.mean([getattr(row.effects[0], what) for row in rows]) for what in ("error", "cosine"))
    changes = [abs(row.ious[0] - row.ious[1]) for row in rows]
    print(
        f"boxes of {len(flips)} pictures: {flips.count((True, False))} lost, {flips.count((False, True))} won; IoU ",
        end="",
    )
    print(
        f"changes by {np.mean(changes):.3f}, {max(changes):.3f} at most; error {error:.3f}, cosine {cosine:.4f}",
        flush=True,
    )


def shown(name: str, figures: Sequence[float]) -> str:
    """A row of `table`."""
    formats = ("11.4f", "6.3f", "10.4f", "6.3f", "6.3f", "7.3f", "7.3f", "5.3f", "7.3f", "5.3f")
    columns = (format(figure, how) for figure, how in zip(figures, formats, strict=False))
    return f"{name:<30} {' '.join(columns)}"


def speed(found: Sequence[Network]) -> None:
    """Milliseconds a picture and ratios, by turns."""
    for network in found:
        made = ours(network)
        sizes = [len(model.SerializeToString()) for model in (network.file.model, made)]
        parts = []
        for threads in (1, 2):
            for batch in (1, 4):
                floats, eights, ratio = timed(network, made, threads, batch)
                parts.append(f"{floats:6.1f} {eights:6.1f} {ratio:5.2f}")
        size = f"{sizes[0] / 1e6:5.2f} {sizes[1] / 1e6:5.2f} MB"
        print(f"{network.name:<18} {size}   threads x batch 1x1, 1x4, 2x1, 2x4: {'  '.join(parts)}", flush=True)


def timed(network: Network, made: ModelProto, threads: int, batch: int, rounds: int = 15) -> tuple[float, float, float]:
    """Milliseconds a picture of both networks, and the median ratio of neighbours."""
    both = [network.open(model, threads) for model in (None, made)]
    pixels = np.stack(photos()[:batch])
    spent = np.zeros((rounds + 2, 2))
    for row in spent:
        for i, backbone in enumerate(both):
            begun = time.perf_counter()
            backbone(pixels)
            row[i] = 1000 * (time.perf_counter() - begun) / batch
    floats, eights = np.median(spent[2:], axis=0)
    return float(floats), float(eights), float(np.median(spent[2:, 0] / spent[2:, 1]))


def emulated(found: Sequence[Network]) -> None:
    """Activations of six photographs, float here, and both files on an emulated processor that has AVX2 alone."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for network in found:
            source = network.feeds(6, draw=1)
            np.save(scratch / "in.npy", np.concatenate(source))
            exact = activations(network.file.model, scratch, [])
            for way, made in {"tool": alone("Percentile", True)(network, IMAGES), "ours": ours(network)}.items():
                here, there = (activations(made, scratch, before) for before in ([], EMULATOR))
                errors = [np.linalg.norm(one - exact) / np.linalg.norm(exact) for one in (here, there)]
                print(
                    f"{network.name:<18} {way:<5} error here {errors[0]:.3f}, without VNNI {errors[1]:.3f}", flush=True
                )


def activations(model: ModelProto, scratch: Path, before: Sequence[str]) -> NDArray[np.float32]:
    """What a network makes of `in.npy` in a process of its own, on the processor that `before` emulates."""
    (scratch / "net.onnx").write_bytes(model.SerializeToString())
    files = [str(scratch / file) for file in ("net.onnx", "in.npy", "out.npy")]
    subprocess.run([*before, sys.executable, __file__, "--values", *files], check=True, stderr=subprocess.DEVNULL)
    made: NDArray[np.float32] = np.load(scratch / "out.npy")
    return made


def values(path: str, source: str, target: str) -> int:
    """The other process."""
    session = create_session(Path(path).read_bytes(), "cpu", 1)
    name = session.get_inputs()[0].name
    np.save(target, np.concatenate([session.run(None, {name: one[None]})[0] for one in np.load(source)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
