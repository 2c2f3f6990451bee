"""Pictures of every kind a folder may hold, made by a script, each with its written outcome."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

Pixel = tuple[int, int, int]
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@dataclass(frozen=True)
class Animal:
    """A file and what must become of it.

    Attributes:
        name: of the file.
        data: its bytes.
        size: width and height of the picture, after its turn; None where it must be refused.
        corner: the colour of the upper left pixel, within `near`.
        reason: words of the refusal.
    """

    name: str
    data: bytes
    size: tuple[int, int] | None = None
    corner: Pixel | None = None
    near: int = 3
    reason: str = ""


def quarters(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green / blue, white: every turn shows."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = WHITE
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def ramp(kind: type, top: float) -> Image.Image:
    values = np.linspace(0, top, 300)[None, :].repeat(40, axis=0)
    return Image.fromarray(values.astype(kind))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def turned() -> list[Animal]:
    """The eight EXIF turns of one picture; its upper left corner is red once upright."""
    backwards: dict[int, Callable[[Image.Image], Image.Image]] = {
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
        6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
        8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
    }
    found = []
    for number, turn in backwards.items():
        exif = Image.Exif()
        exif[0x0112] = number
        data = saved(turn(quarters()), "PNG", exif=exif)
        found.append(Animal(f"turn{number}.png", data, (48, 32), RED))
    return found


def plain() -> list[Animal]:
    image, at = quarters(), (48, 32)
    grey, small = image.convert("L"), image.quantize(4)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(np.arange(48) < 24, 0, 255).astype(np.uint8)[None].repeat(32, 0)))
    index = small.copy()
    index.info["transparency"] = small.getpixel((0, 0))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return [
        Animal("rgb.png", saved(image, "PNG"), at, RED, 0),
        Animal("rgb.bmp", saved(image, "BMP"), at, RED, 0),
        Animal("rgb.ppm", saved(image, "PPM"), at, RED, 0),
        Animal("rgb.tif", saved(image, "TIFF"), at, RED, 0),
        Animal("lzw.tif", saved(image, "TIFF", compression="tiff_lzw"), at, RED, 0),
        Animal("deflated.tif", saved(image, "TIFF", compression="tiff_adobe_deflate"), at, RED, 0),
        Animal("rgb.webp", saved(image, "WEBP", lossless=True), at, RED, 0),
        Animal("lossy.webp", saved(image, "WEBP", quality=90), at, RED, 30),
        Animal("rgb.jp2", saved(image, "JPEG2000"), at, RED, 3),
        Animal("rgb.jpg", saved(image, "JPEG", quality=95, subsampling=0), at, RED, 6),
        Animal("progressive.jpg", saved(image, "JPEG", progressive=True, quality=95), at, RED, 6),
        Animal("grey.jpg", saved(grey, "JPEG"), at, (76, 76, 76), 4),
        Animal("cmyk.jpg", saved(image.convert("CMYK"), "JPEG", quality=95), at, RED, 12),
        Animal("cmyk.tif", saved(image.convert("CMYK"), "TIFF"), at, RED, 3),
        Animal("icc.png", saved(image, "PNG", icc_profile=profile), at, RED, 0),
        Animal("palette.png", saved(small, "PNG"), at, RED, 0),
        Animal("palette.gif", saved(small, "GIF"), at, RED, 0),
        Animal("palette.bmp", saved(small, "BMP"), at, RED, 0),
        Animal("transparent-palette.png", saved(index, "PNG"), at, WHITE, 0),
        Animal("alpha.png", saved(clear, "PNG"), at, WHITE, 0),
        Animal("alpha.webp", saved(clear, "WEBP", lossless=True), at, WHITE, 0),
        Animal("grey-alpha.png", saved(clear.convert("LA"), "PNG"), at, WHITE, 0),
        Animal("one-bit.png", saved(Image.new("1", (48, 32), 1), "PNG"), at, WHITE, 0),
        Animal("one-bit.pbm", saved(Image.new("1", (48, 32), 1), "PPM"), at, WHITE, 0),
        Animal("grey.pgm", saved(grey, "PPM"), at, (76, 76, 76), 0),
        Animal("one.png", saved(Image.new("RGB", (1, 1), RED), "PNG"), (1, 1), RED, 0),
        Animal("line.png", saved(Image.new("RGB", (1, 300), RED), "PNG"), (1, 300), RED, 0),
        Animal("row.png", saved(Image.new("RGB", (300, 1), RED), "PNG"), (300, 1), RED, 0),
        Animal("wrong-suffix.jpg", saved(image, "PNG"), at, RED, 0),
        Animal("UPPER.PNG", saved(image, "PNG"), at, RED, 0),
        Animal('it\'s a "name" <b> =1+1.png', saved(image, "PNG"), at, RED, 0),
        Animal("\u202eright-to-left\n.png", saved(image, "PNG"), at, RED, 0),
        Animal("corrupt-exif.png", saved(image, "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"), at, RED, 0),
        Animal("large.jpg", saved(quarters(1600, 1200), "JPEG", quality=95), (1600, 1200), RED, 6),
    ]


def deep() -> list[Animal]:
    """More than eight bits, and floats; ramps keep their levels (tested beside)."""
    wide = b"".join(b"\0" + struct.pack(">HHH", 65535, 0, 0) * 4 for _ in range(4))
    return [
        Animal("ramp16.png", saved(ramp(np.uint16, 65535), "PNG"), (300, 40), (0, 0, 0)),
        Animal("ramp16.tif", saved(ramp(np.uint16, 65535), "TIFF"), (300, 40), (0, 0, 0)),
        Animal("ramp32.tif", saved(ramp(np.int32, 1_000_000), "TIFF"), (300, 40), (0, 0, 0)),
        Animal("ramp-float.tif", saved(ramp(np.float32, 1.0), "TIFF"), (300, 40), (0, 0, 0)),
        Animal("ramp-wide-float.tif", saved(ramp(np.float32, 1e9), "TIFF"), (300, 40), (0, 0, 0)),
        Animal("rgb16.png", png(4, 4, 16, 2, wide), (4, 4), RED, 0),
        Animal("big-endian.tif", saved(quarters(), "TIFF", big_endian=True), (48, 32), RED, 0),
    ]


def many() -> list[Animal]:
    """More than one picture in a file: the first counts."""
    others = [Image.new("RGB", (48, 32), BLUE)] * 2
    at = (48, 32)
    return [
        Animal("animated.gif", saved(quarters(), "GIF", save_all=True, append_images=others), at, RED, 3),
        Animal("animated.webp", saved(quarters(), "WEBP", save_all=True, append_images=others, lossless=True), at, RED),
        Animal("animated.apng", saved(quarters(), "PNG", save_all=True, append_images=others), at, RED),
        Animal("pages.tif", saved(quarters(), "TIFF", save_all=True, append_images=others), at, RED),
    ]


def broken() -> list[Animal]:
    """What must be refused, each with its reason."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    cut = {
        name: saved(noise, kind) for name, kind in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("gif", "GIF"))
    }
    return [
        *(Animal(f"cut.{name}", data[: len(data) // 2], reason="damaged or cut short") for name, data in cut.items()),
        Animal("empty.jpg", b"", reason="is empty"),
        Animal("text.jpg", b"dear sir or madam\n" * 9, reason="not a picture"),
        Animal("page.png", b"<!doctype html><html></html>", reason="not a picture"),
        Animal("vector.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", reason="not a picture"),
        Animal("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", reason="not a picture"),
        Animal("bomb.png", png(60_000, 60_000, 8, 2, b""), reason="more pixels than the limit"),
        Animal("large.png", png(14_000, 13_000, 8, 0, b""), reason="limit of"),
        Animal("header.png", saved(noise, "PNG")[:24], reason="not a picture|damaged"),
    ]


def animals() -> list[Animal]:
    """The whole zoo."""
    return [*plain(), *turned(), *deep(), *many(), *broken()]


def fill(folder: Path) -> list[Animal]:
    """Writes the zoo into a folder."""
    found = animals()
    for animal in found:
        (folder / animal.name).write_bytes(animal.data)
    return found
