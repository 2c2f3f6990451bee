"""The guided filter with a colour guide: maps smoothed along the edges of their picture.

He, Sun & Tang, "Guided Image Filtering" (ECCV 2010); `subsample` is He & Sun, "Fast Guided Filter" (2015). At
`subsample=1` the numbers are those of OpenCV's `ximgproc.guidedFilter` on colour pictures of 0..255. (On 0..1 and with
a small `eps`, OpenCV takes the covariance of an even window for singular and answers with the plain mean there; on
grey pictures it loses three digits in float32.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.box_filter import box_mean
from dff_onnx.arrays.helpers import double, parts
from dff_onnx.maps.shrink import shrink
from dff_onnx.maps.upsample import upsample


@dataclass(frozen=True, slots=True)
class Guide:
    """What a picture contributes to the filter, computed once for all maps.

    Attributes:
        picture: `(3, h, w)` float32, 0..1.
        mean: `(3, h, w)`, of each window.
        inverse: `(3, 3, h, w)`, of each window's regularised colour covariance.
        radius: of the windows, in pixels.
    """

    picture: Array
    mean: Array
    inverse: Array
    radius: int


def guide(picture: Array, radius: int, eps: float) -> Guide:
    """Prepares a picture.

    Args:
        picture: `(3, h, w)` float32, 0..1.
        radius: of the square windows, in pixels: they are `2 radius + 1` wide.
        eps: variance of colour below which a window counts as flat.
    """
    xp = namespace_of(picture)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    products = box_mean(xp.stack([picture[i, ...] * picture[j, ...] for i, j in pairs]), radius)
    mean = box_mean(picture, radius)
    rr, rg, rb, gg, gb, bb = (
        products[n, ...] - mean[i, ...] * mean[j, ...] + (eps if i == j else 0.0) for n, (i, j) in enumerate(pairs)
    )
    return Guide(picture, mean, _inverse(rr, rg, rb, gg, gb, bb), radius)


def _inverse(rr: Array, rg: Array, rb: Array, gg: Array, gb: Array, bb: Array) -> Array:
    """Of symmetric 3 x 3 matrices, by cofactors; in float64, because those of a grey picture cancel."""
    xp, dtype = namespace_of(rr), rr.dtype
    rr, rg, rb, gg, gb, bb = map(double, (rr, rg, rb, gg, gb, bb))
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c00 + rg * c01 + rb * c02)
    rows = xp.stack([xp.stack(row) for row in ([c00, c01, c02], [c01, c11, c12], [c02, c12, c22])])
    return xp.astype(rows * scale, dtype)


def linear_model(maps: Array, picture: Guide) -> tuple[Array, Array]:
    """The filter's local linear model of each map, averaged over the windows that see a pixel.

    Args:
        maps: `(m, h, w)`.
        picture: the guide, of the same size.

    Returns:
        slopes `(m, 3, h, w)` and offsets `(m, h, w)`: the filtered map is `sum_c slope_c picture_c + offset`.
    """
    xp = namespace_of(maps)
    models = [_linear_model(maps[part, ...], picture) for part in parts(maps)]
    slopes, offsets = zip(*models, strict=True)
    return xp.concat(slopes), xp.concat(offsets)


def _linear_model(maps: Array, picture: Guide) -> tuple[Array, Array]:
    xp = namespace_of(maps)
    m, h, w = maps.shape
    products = maps[:, None, ...] * picture.picture[None, ...]
    mean = box_mean(maps, picture.radius)
    means = box_mean(products, picture.radius)
    covariance = [means[:, c, ...] - mean * picture.mean[c, ...] for c in range(3)]
    slopes = [_weighted(picture.inverse[c, ...], covariance) for c in range(3)]
    offsets = mean - _weighted(picture.mean, slopes)
    both = box_mean(xp.stack([*slopes, offsets], axis=1), picture.radius)
    return both[:, :3, ...], xp.reshape(both[:, 3:, ...], (m, h, w))


def _weighted(weights: Array, planes: Sequence[Array]) -> Array:
    """`sum_c weights_c planes_c` of three; written out, which is several times as fast as a sum over an axis."""
    return weights[0, ...] * planes[0] + weights[1, ...] * planes[1] + weights[2, ...] * planes[2]


def apply_model(model: tuple[Array, Array], picture: Array) -> Array:
    """The filtered maps `(m, h, w)` of a model on a picture `(3, h, w)`, which may be larger than the model's own."""
    h, w = picture.shape[1:]
    slopes, offsets = (upsample(part, h, w) if part.shape[-2:] != (h, w) else part for part in model)
    return _weighted(picture, [slopes[:, c, ...] for c in range(3)]) + offsets


def guided_filter(maps: Array, picture: Array, radius: int, eps: float, subsample: int = 1) -> Array:
    """Maps smoothed along a picture's edges.

    Args:
        maps: `(m, h, w)` float32.
        picture: `(3, h, w)` float32, 0..1.
        radius: of the windows, in pixels.
        eps: variance of colour below which a window counts as flat; larger smooths across weaker edges.
        subsample: compute the linear models at this fraction of the size (4 is usual); 1 is exact.

    Returns:
        `(m, h, w)`; values may leave the range of the maps a little, at edges.

    >>> import numpy as np
    >>> picture = np.zeros((3, 4, 4), np.float32); picture[:, :, 2:] = 1
    >>> np.rint(guided_filter(picture[:1], picture, 1, 1e-3)[0, 0]).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    if subsample == 1:
        return apply_model(linear_model(maps, guide(picture, radius, eps)), picture)
    small = smaller(picture.shape[-2], picture.shape[-1], subsample)
    made = guide(shrink(picture, *small), max(1, round(radius / subsample)), eps)
    return apply_model(linear_model(shrink(maps, *small), made), picture)


def smaller(height: int, width: int, subsample: int) -> tuple[int, int]:
    """The size at which a subsampled filter works.

    >>> smaller(375, 500, 4)
    (94, 125)
    """
    return max(1, round(height / subsample)), max(1, round(width / subsample))
