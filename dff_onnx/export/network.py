"""The plan of a network: its steps, as data. `network_builder` makes ONNX of them, `fit` compares them with a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self

from dff_onnx.backbone.metadata import Layer
from dff_onnx.backbone.preprocess_nodes import INPUT

Shape = tuple[int, ...]

# Of all places of a channel.
Pool = Literal["avg", "max"]

# torch.nn.BatchNorm2d's default.
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Conv:
    """A square convolution with symmetric zero padding, and the batch norm behind it where there is one.

    Attributes:
        output: the tensor it makes.
        inputs: the one it takes.
        parameters: the module's name in the checkpoint (`features.0`).
        shape: of the weight, `(out, in / groups, kernel, kernel)`.
        stride, pad, groups: as in `torch.nn.Conv2d`.
        bias: whether the module has one.
        norm: the batch norm's name in the checkpoint.
        epsilon: the batch norm's.
    """

    output: str
    inputs: tuple[str, ...]
    parameters: str
    shape: tuple[int, int, int, int]
    stride: int
    pad: int
    groups: int
    bias: bool
    norm: str | None
    epsilon: float

    def expected(self) -> Iterator[tuple[str, Shape]]:
        """Name and shape of every parameter it needs."""
        yield f"{self.parameters}.weight", self.shape
        if self.bias:
            yield f"{self.parameters}.bias", self.shape[:1]
        if self.norm:
            for part in ("weight", "bias", "running_mean", "running_var"):
                yield f"{self.norm}.{part}", self.shape[:1]


@dataclass(frozen=True, slots=True)
class MaxPool:
    """As in `torch.nn.MaxPool2d`; `ceil` is its `ceil_mode`."""

    output: str
    inputs: tuple[str, ...]
    kernel: int
    stride: int
    pad: int
    ceil: bool


@dataclass(frozen=True, slots=True)
class Join:
    """A step without settings: `Relu` or `Flatten` of one tensor, `Add` of two, `Concat` of several channels."""

    kind: str
    output: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The mean or the maximum of all places of each channel: `(n, c, h, w)` becomes `(n, c)`."""

    output: str
    inputs: tuple[str, ...]
    kind: Pool


@dataclass(frozen=True, slots=True)
class Linear:
    """As `torch.nn.Linear`: rows `(n, in)` become `(n, out)`; `shape` is the weight's, `(out, in)`."""

    output: str
    inputs: tuple[str, ...]
    parameters: str
    shape: tuple[int, int]

    def expected(self) -> Iterator[tuple[str, Shape]]:
        """Name and shape of every parameter it needs."""
        yield f"{self.parameters}.weight", self.shape
        yield f"{self.parameters}.bias", self.shape[:1]


Step = Conv | MaxPool | Join | GlobalPool | Linear
# The steps that have parameters.
WEIGHTED = (Conv, Linear)


@dataclass(frozen=True, slots=True)
class Rows:
    """A tensor `(n, features)`, without a grid: between a classifier's layers, or its scores."""

    name: str
    features: int


@dataclass(frozen=True)
class Network:
    """A network, with or without its classifier.

    Attributes:
        name: torchvision's.
        steps: in the order they run.
        layers: the tensors that may become outputs, in the same order.
        tensors: every step's output by name.
        aliases: further names of layers (`layer3` for a ResNet's `layer3.5`).
        scores: the tensor of its classes' scores, before any softmax; None without a classifier.
        side: height and width of the only pictures that the classifier takes, None where it takes any.
    """

    name: str
    steps: tuple[Step, ...]
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Layer | Rows]
    aliases: Mapping[str, str] = field(default_factory=dict)
    scores: str | None = None
    side: int | None = None

    @cached_property
    def expected(self) -> dict[str, Shape]:
        """Every parameter's name and shape, in the order of the steps."""
        return {name: shape for step in self.steps if isinstance(step, WEIGHTED) for name, shape in step.expected()}

    @cached_property
    def pools(self) -> frozenset[str]:
        """The layers that max pooling makes: outputs, but no one's deepest convolutional layer."""
        return frozenset(step.output for step in self.steps if isinstance(step, MaxPool))

    def ancestors(self, outputs: tuple[str, ...]) -> tuple[Step, ...]:
        """The steps that these tensors need, in order."""
        needed, kept = set(outputs), list[Step]()
        for step in reversed(self.steps):
            if step.output in needed:
                kept.append(step)
                needed.update(step.inputs)
        return tuple(reversed(kept))


class Plan:
    """Writes a network down step by step; each method returns the name of the tensor it makes.

    >>> plan = Plan()
    >>> relu = plan.relu(plan.conv("conv1_1", INPUT, "features.0", 64, 3, pad=1, bias=True), "relu1_1")
    >>> plan.network("example", layers=[relu]).layers
    (Layer(name='relu1_1', stride=1, channels=64, nonnegative=True),)
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._tensors: dict[str, Layer | Rows] = {INPUT: Layer(INPUT, stride=1, channels=3, nonnegative=False)}

    @classmethod
    def upto(cls, network: Network, layer: str) -> Self:
        """A plan that goes on behind a layer of a network; what the layer does not need is left out."""
        plan = cls()
        plan._steps += network.ancestors((layer,))
        plan._tensors |= {step.output: network.tensors[step.output] for step in plan._steps}
        return plan

    def conv(
        self,
        output: str,
        source: str,
        parameters: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = False,
        norm: str | None = None,
        epsilon: float = EPSILON,
    ) -> str:
        """A convolution to `channels` channels, with the batch norm `norm` folded in."""
        shape = (channels, self._grid(source).channels // groups, kernel, kernel)
        self._steps.append(Conv(output, (source,), parameters, shape, stride, pad, groups, bias, norm, epsilon))
        return self._made(output, self._grid(source).stride * stride, channels, nonnegative=False)

    def relu(self, source: str, output: str) -> str:
        """A ReLU."""
        self._steps.append(Join("Relu", output, (source,)))
        tensor = self._tensors[source]
        if isinstance(tensor, Rows):
            return self._made_rows(output, tensor.features)
        return self._made(output, tensor.stride, tensor.channels, nonnegative=True)

    def max_pool(
        self, source: str, output: str, kernel: int, *, stride: int = 2, pad: int = 0, ceil: bool = False
    ) -> str:
        """Max pooling."""
        self._steps.append(MaxPool(output, (source,), kernel, stride, pad, ceil))
        tensor = self._grid(source)
        return self._made(output, tensor.stride * stride, tensor.channels, nonnegative=tensor.nonnegative)

    def add(self, first: str, second: str, output: str) -> str:
        """A sum."""
        self._steps.append(Join("Add", output, (first, second)))
        tensors = self._grid(first), self._grid(second)
        return self._made(output, tensors[0].stride, tensors[0].channels, all(t.nonnegative for t in tensors))

    def concat(self, sources: Sequence[str], output: str) -> str:
        """The channels of all, one after the other."""
        self._steps.append(Join("Concat", output, tuple(sources)))
        tensors = [self._grid(source) for source in sources]
        channels = sum(t.channels for t in tensors)
        return self._made(output, tensors[0].stride, channels, all(t.nonnegative for t in tensors))

    def global_pool(self, source: str, output: str, kind: Pool = "avg") -> str:
        """The mean or the maximum of all places, `(n, c)`."""
        self._steps.append(GlobalPool(output, (source,), kind))
        return self._made_rows(output, self._grid(source).channels)

    def flatten(self, source: str, output: str, places: int) -> str:
        """All channels of all `places` as one row."""
        self._steps.append(Join("Flatten", output, (source,)))
        return self._made_rows(output, self._grid(source).channels * places)

    def linear(self, source: str, output: str, parameters: str, features: int) -> str:
        """A linear layer to `features` figures, with a bias."""
        tensor = self._tensors[source]
        if not isinstance(tensor, Rows):
            raise TypeError(f"a linear layer takes rows, and {source} has a grid")
        self._steps.append(Linear(output, (source,), parameters, (features, tensor.features)))
        return self._made_rows(output, features)

    def network(
        self,
        name: str,
        layers: Sequence[str],
        aliases: Mapping[str, str] | None = None,
        *,
        scores: str | None = None,
        side: int | None = None,
    ) -> Network:
        """What was written down."""
        chosen = tuple(self._grid(layer) for layer in layers)
        return Network(name, tuple(self._steps), chosen, dict(self._tensors), dict(aliases or {}), scores, side)

    def _grid(self, name: str) -> Layer:
        tensor = self._tensors[name]
        if not isinstance(tensor, Layer):
            raise TypeError(f"{name} has no grid")
        return tensor

    def _made_rows(self, name: str, features: int) -> str:
        self._tensors[name] = Rows(name, features)
        return name

    def _made(self, name: str, stride: int, channels: int, nonnegative: bool) -> str:
        self._tensors[name] = Layer(name, stride, channels, nonnegative)
        return name
