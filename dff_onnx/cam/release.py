"""Boxes and ten crops as the code that its authors released makes them (zhoubolei/CAM, 2016), not as the paper says.

What the code does is kept, also where it looks like a slip: the published localization errors come from it. All of
this is the host's work.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dff_onnx.errors import ArrayError
from dff_onnx.maps import regions_of, working_size
from dff_onnx.records import Box, Grid

LEVELS = (20, 100, 110)  # grey of 255
NEAR = 10  # of the distance to the outside, where the farthest pixel has 255
BORDER = 5  # pixels at the right and lower border in which no box lies
QUALITY = 75  # of a JPEG, where MATLAB is not told another
CANVAS, CROP = 256, 224
CORNERS = tuple((y, x) for y in (0, CANVAS - CROP) for x in (0, CANVAS - CROP))
PLACES = (*CORNERS, ((CANVAS - CROP) // 2, (CANVAS - CROP) // 2))  # as Caffe orders them

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def release_boxes(heat: Floats, original: Grid) -> tuple[Box, ...]:
    """Boxes of one class map, as `bboxgenerator/dt_box` finds them: the first is loose, the second tight.

    The map, at the picture's size and divided by its maximum, goes through an 8-bit JPEG and is cut at the grey levels
    20, 100 and 110. At each level pixels near the outside fall away: those whose distance to it, where the farthest has
    255, is at most 10. Boxes go around all contours, also of holes, of the three levels; they end 5 pixels before the
    right and the lower border. Sorted by area, a box falls away that overlaps a larger one by more than half of the
    larger one's area. After a box that falls away the next one is passed over, which is why there is a second one where
    one thing is found at all three levels: the box at 100 goes, the box at 110 stays.

    Boxes of equal area keep the order of the levels (the code leaves it open). Their corners are half-open: the
    released evaluation takes `x + width` for the last pixel, one more than the box has.

    Args:
        heat: `(h, w)` finite, of one class: `ten_crop_map`, or of the whole picture.
        original: the picture's size in pixels. Pictures of a longer side than 2048 are worked on at 2048.

    Returns:
        none where no value is positive, or all that is left lies at the border.

    Raises:
        ArrayError: when the map is not `(h, w)`, empty or not finite.

    >>> heat = np.pad(np.ones((4, 4), np.float32), 2)
    >>> release_boxes(heat, Grid(80, 80))
    (Box(x0=16, y0=16, x1=64, y1=64), Box(x0=20, y0=20, x1=60, y1=60))
    """
    if heat.ndim != 2 or 0 in heat.shape or not np.isfinite(heat).all():
        raise ArrayError(f"class map: one finite map (h, w) is needed, found {heat.dtype} {heat.shape}")
    size = working_size(original)
    grey = _through_jpeg(_enlarged(heat, size))
    boxes = [_inside(box, size) for level in LEVELS for box in _contours(_eroded(grey > level))]
    ranked = sorted((box for box in boxes if box.area), key=lambda box: -box.area)
    return tuple(_scaled(box, size, original) for box in _merged(ranked))


def ten_crops(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crops that Caffe's wrappers make of a picture: four corners and the centre, then the same mirrored.

    Args:
        pixels: `(256, 256, 3)`, of any dtype: the whole picture, its aspect not kept.

    Returns:
        `(10, 224, 224, 3)`; left upper, right upper, left lower, right lower, centre.

    Raises:
        ArrayError: when the picture has another size.

    >>> ten_crops(np.zeros((256, 256, 3), np.uint8)).shape
    (10, 224, 224, 3)
    """
    if pixels.ndim != 3 or pixels.shape[:2] != (CANVAS, CANVAS):
        raise ArrayError(f"picture: {CANVAS} x {CANVAS} pixels are needed for ten crops, found {pixels.shape}")
    crops = np.stack([pixels[y : y + CROP, x : x + CROP] for y, x in PLACES])
    return np.concatenate([crops, crops[:, :, ::-1]])


def ten_crop_map(maps: Floats) -> Floats:
    """Class maps of the crops of `ten_crops`, put back where they were and summed without their signs.

    Args:
        maps: `(10, m, h, w)` of any grid, finite.

    Returns:
        `(m, 256, 256)`; enlarged to the crops' size by cubic interpolation as MATLAB's `imresize` has it.

    Raises:
        ArrayError: when there are not ten, or they are empty or not finite.

    >>> ten_crop_map(np.ones((10, 1, 7, 7), np.float32))[0, [0, 128], [0, 128]].tolist()
    [2.0, 10.0]
    """
    if maps.ndim != 4 or len(maps) != 2 * len(PLACES) or 0 in maps.shape[2:] or not np.isfinite(maps).all():
        raise ArrayError(f"class maps: finite maps (10, m, h, w) of ten crops are needed, found {maps.shape}")
    summed = np.zeros((maps.shape[1], CANVAS, CANVAS), np.float32)
    for crop, (y, x) in enumerate(PLACES):
        for one in (maps[crop], maps[crop + len(PLACES), :, :, ::-1]):
            for number, heat in enumerate(one):
                summed[number, y : y + CROP, x : x + CROP] += np.abs(_enlarged(heat, Grid(CROP, CROP)))
    return summed


def _enlarged(heat: Floats, size: Grid) -> Floats:
    """Cubic, with the kernel and the smoothing of MATLAB's `imresize`."""
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((size.width, size.height), Image.Resampling.BICUBIC))


def _through_jpeg(heat: Floats) -> NDArray[np.uint8]:
    """Grey 0..255 as it comes back from a JPEG; black where nothing is positive."""
    peak = float(heat.max())
    grey = np.zeros(heat.shape, np.uint8)
    if peak > 0:
        grey = np.floor(np.clip(heat / peak, 0, 1) * 255 + 0.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def _eroded(on: Mask) -> Mask:
    """Without the pixels near the outside. The distance is Euclid's, exact, as the code's own transform is."""
    if on.all():
        return on  # the code leaves an image alone in which all distances are equal
    rows, columns = (np.flatnonzero(on.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return on
    # The nearest outside is never beyond the pixels that line the box around all that is on.
    near = tuple(slice(max(0, int(side[0]) - 1), int(side[-1]) + 2) for side in (rows, columns))
    distance = ndimage.distance_transform_edt(on[near])
    left = np.zeros_like(on)
    left[near] = np.floor(distance * (255 / distance.max()) + 0.5) > NEAR
    return left


def _contours(on: Mask) -> Iterator[Box]:
    """Around each 8-connected component, and each hole with the pixels that line it (OpenCV's `RETR_CCOMP`)."""
    for region in regions_of(on[None])[0].regions:
        yield region.box
    height, width = on.shape
    for rows, columns in ndimage.find_objects(ndimage.label(~on)[0]):
        if rows.start > 0 and columns.start > 0 and rows.stop < height and columns.stop < width:
            yield Box(columns.start - 1, rows.start - 1, columns.stop + 1, rows.stop + 1)


def _inside(box: Box, size: Grid) -> Box:
    """Without the border; of no area where nothing else is left."""
    right, bottom = (max(0, side - BORDER) for side in (size.width, size.height))
    x0, y0 = min(box.x0, right), min(box.y0, bottom)
    return Box(x0, y0, max(x0, min(box.x1, right)), max(y0, min(box.y1, bottom)))


def _merged(ranked: Sequence[Box]) -> list[Box]:
    """Boxes, largest first, without those that a larger one makes superfluous; see `release_boxes`."""
    kept = np.array([(box.x0, box.y0, box.x1, box.y1) for box in ranked], np.int64).reshape(-1, 4)
    at = 0
    while at < len(kept):
        dropped: list[int] = []
        for place in (at + 1 + np.flatnonzero(_covered(kept[at], kept[at + 1 :]))).tolist():
            # The code erases a box in its list and goes on behind the one that moved up.
            if not dropped or place != dropped[-1] + 1:
                dropped.append(place)
        if dropped:
            kept = np.delete(kept, dropped, axis=0)
        at += 1
    return [Box(*corners) for corners in kept.tolist()]


def _covered(large: NDArray[np.int64], others: NDArray[np.int64]) -> Mask:
    """Whether each of `others (n, 4)` overlaps a larger box by more than half of its area."""
    sides = np.minimum(large[2:], others[:, 2:]) - np.maximum(large[:2], others[:, :2])
    overlap = np.maximum(sides, 0).prod(axis=1)
    return np.asarray(2 * overlap > (large[2:] - large[:2]).prod())


def _scaled(box: Box, work: Grid, original: Grid) -> Box:
    across, down = original.width / work.width, original.height / work.height
    return Box(
        int(box.x0 * across),
        int(box.y0 * down),
        min(original.width, round(box.x1 * across)),
        min(original.height, round(box.y1 * down)),
    )
