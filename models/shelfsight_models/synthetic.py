"""Packages that do not exist: thousands of drawn "products" that teach an encoder to tell packages apart.

A `Design` is everything that makes a product (colours, layout, words, fonts, picture patch); `draw` renders
its front. Two designs of one family share the layout and brand and differ in words and colours, as flavours
of one line do: telling these apart is the hard part of shelf recognition.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts")
# fmt: off
SYLLABLES = [
    "ka", "lo", "mi", "ra", "ten", "sol", "vi", "do", "ner", "fa", "gri", "bel", "to", "sun", "pra",
    "li", "nova", "mar", "ko", "ze", "al", "bri", "na", "fru", "ti", "so", "ga", "lan",
]
WORDS = [
    "milk", "oat", "juice", "classic", "organic", "light", "original", "dark", "apple", "berry", "mint",
    "lemon", "vanilla", "honey", "whole", "grain", "crunchy", "smooth", "fresh", "natural", "spicy",
    "mild", "tomato", "soup", "rice", "bar", "snack", "tea", "coffee", "sauce", "cream", "yoghurt",
    "sugar", "free", "salt", "protein", "water", "fruit", "chocolate", "nut", "almond", "family",
    "extra", "premium", "farm", "green", "red", "gold",
]
# fmt: on


@dataclass(frozen=True)
class Design:
    """A drawn product. `seed` fixes the details that have no field."""

    seed: int
    layout: int
    brand: str
    words: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    font: int
    shape: str


def families(count: int, flavours: int, seed: int) -> list[list[Design]]:
    """`count` families of `flavours` designs each."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        hue = rng.random()
        base = Design(
            seed=int(rng.integers(1 << 31)),
            layout=int(rng.integers(0, 6)),
            brand="".join(rng.choice(SYLLABLES, int(rng.integers(2, 4)))),
            words=tuple(rng.choice(WORDS, 3, replace=False)),
            colours=_palette(hue, rng),
            font=int(rng.integers(1 << 16)),
            shape=str(rng.choice(["box", "pouch", "can", "bottle"], p=[0.45, 0.25, 0.2, 0.1])),
        )
        family = [base]
        for _ in range(flavours - 1):
            shift = hue + rng.uniform(0.15, 0.85) if rng.random() < 0.6 else hue
            colours = list(base.colours)
            fresh = _palette(shift, rng)
            for k in rng.choice(len(colours), 2, replace=False):
                colours[k] = fresh[k]
            words = (str(rng.choice(WORDS)), str(rng.choice(WORDS)), base.words[2])
            family.append(replace(base, words=words, colours=tuple(colours)))
        out.append(family)
    return out


def draw(design: Design, texture: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The front of a package: u8 `[H, W, 3]` and its mask u8 `[H, W]`. `texture` is a photo used as its
    picture.
    """
    rng = np.random.default_rng(design.seed)
    width, height = {
        "box": (int(rng.integers(180, 300)), 320),
        "pouch": (250, 320),
        "can": (190, 300),
        "bottle": (130, 320),
    }[design.shape]
    if design.shape == "box" and rng.random() < 0.3:
        width, height = height, width
    image = Image.new("RGB", (width, height), design.colours[0])
    pen = ImageDraw.Draw(image)
    _ground(image, pen, design, rng)
    if texture is not None and rng.random() < 0.7:
        _picture(image, texture, rng)
    _shapes(pen, image.size, design, rng)
    _labels(pen, image.size, design, rng)
    pixels = np.asarray(image, np.uint8).copy()
    mask = Image.new("L", (width, height), 0)
    mask_pen = ImageDraw.Draw(mask)
    if design.shape == "bottle":
        mask_pen.rounded_rectangle((0, height * 0.25, width - 1, height - 1), 20, fill=255)
        mask_pen.rounded_rectangle((width * 0.32, 0, width * 0.68, height * 0.4), 8, fill=255)
    else:
        mask_pen.rounded_rectangle(
            (0, 0, width - 1, height - 1), 14 if design.shape == "pouch" else 4, fill=255
        )
    if design.shape in ("can", "bottle"):
        # A cylinder is darker towards its sides.
        across = np.linspace(-1, 1, width, dtype=np.float32)
        pixels = (pixels * (0.45 + 0.55 * np.sqrt(1 - 0.9 * across**2))[None, :, None]).astype(np.uint8)
    return pixels, np.asarray(mask, np.uint8)


def text_of(design: Design) -> str:
    """What the package says: brand and name."""
    return f"{design.brand} {' '.join(design.words)}"


def _palette(hue: float, rng: np.random.Generator) -> tuple[tuple[int, int, int], ...]:
    out = []
    for k in range(4):
        h = (hue + (0, 0.06, 0.5, 0.3)[k] + rng.normal(0, 0.04)) % 1
        s, v = rng.uniform(0.05, 0.95), rng.uniform(0.25, 1.0)
        out.append(tuple(int(255 * c) for c in colorsys.hsv_to_rgb(h, s, v)))
    return tuple(out)


def _ground(image: Image.Image, pen: ImageDraw.ImageDraw, design: Design, rng: np.random.Generator) -> None:
    width, height = image.size
    kind = rng.integers(0, 4)
    if kind == 1:
        ramp = np.linspace(0, 1, height)[:, None, None]
        top, bottom = (np.array(c) for c in design.colours[:2])
        rows = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3))
        image.paste(Image.fromarray(rows.astype(np.uint8)))
    elif kind == 2:
        step = int(rng.integers(12, 40))
        for x in range(0, width + height, 2 * step):
            pen.polygon(
                [(x, 0), (x + step, 0), (x + step - height, height), (x - height, height)], design.colours[1]
            )
    elif kind == 3:
        y = int(height * rng.uniform(0.3, 0.7))
        pen.rectangle((0, y, width, height), design.colours[1])


def _picture(image: Image.Image, texture: np.ndarray, rng: np.random.Generator) -> None:
    width, height = image.size
    side = int(min(width, height) * rng.uniform(0.35, 0.8))
    patch = Image.fromarray(texture).resize((side, side))
    mask = Image.new("L", (side, side), 0)
    if rng.random() < 0.6:
        ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    else:
        mask.paste(255, (0, 0, side, side))
    x = int((width - side) * rng.uniform(0.2, 0.8))
    y = int((height - side) * rng.uniform(0.3, 1.0))
    image.paste(patch, (x, y), mask)


def _shapes(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], design: Design, rng: np.random.Generator
) -> None:
    width, height = size
    for _ in range(int(rng.integers(1, 6))):
        fill = design.colours[int(rng.integers(1, 4))]
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        r = rng.uniform(0.05, 0.22) * width
        kind = rng.integers(0, 4)
        if kind == 0:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        elif kind == 1:
            pen.rectangle((0, y, width, y + r * 0.6), fill=fill)
        elif kind == 2:
            pen.regular_polygon(
                (x, y, r), int(rng.integers(3, 8)), rotation=int(rng.integers(0, 90)), fill=fill
            )
        else:
            pen.arc((x - r, y - r, x + r, y + r), 0, 300, fill=fill, width=6)


def _labels(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], design: Design, rng: np.random.Generator
) -> None:
    width, height = size
    ink = (255, 255, 255) if sum(design.colours[0]) < 380 else tuple(int(v * 0.3) for v in design.colours[2])
    y = height * (0.06, 0.12, 0.4, 0.62, 0.2, 0.05)[design.layout]
    brand = design.brand.upper() if design.layout % 2 else design.brand.capitalize()
    font = _fitting(pen, brand, design.font, width * rng.uniform(0.6, 0.9), 64)
    if design.layout in (2, 4):
        box = pen.textbbox((width / 2, y), brand, font=font, anchor="ma")
        pen.rectangle((0, box[1] - 8, width, box[3] + 8), fill=design.colours[3])
    pen.text((width / 2, y), brand, fill=ink, font=font, anchor="ma")
    y += _height(pen, brand, font) * 1.6
    for i, word in enumerate(design.words):
        font = _fitting(
            pen, word, design.font + 1 + (i == 2), width * (0.7 if i < 2 else 0.4), 40 if i < 2 else 20
        )
        fill = ink if i != 1 else design.colours[3]
        pen.text((width / 2, y), word, fill=fill, font=font, anchor="ma")
        y += _height(pen, word, font) * 1.5
    amount = f"{int(rng.choice([100, 250, 330, 500, 750, 1000]))} {rng.choice(['g', 'ml'])}"
    pen.text((width * 0.06, height * 0.93), amount, fill=ink, font=_font(design.font, 14))


def _height(pen: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont) -> float:
    box = pen.textbbox((0, 0), text, font=font)
    return box[3] - box[1]


def _fitting(
    pen: ImageDraw.ImageDraw, text: str, index: int, width: float, largest: int
) -> ImageFont.ImageFont:
    probe = _font(index, 24)
    length = max(1.0, pen.textlength(text, font=probe))
    return _font(index, max(9, min(largest, int(24 * width / length))))


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    found = []
    for folder in FONT_FOLDERS:
        root = Path(folder)
        if root.is_dir():
            found += [
                str(p) for p in root.rglob("*.[to]tf") if "Emoji" not in p.name and "Symbol" not in p.name
            ]
    return tuple(sorted(found))


@lru_cache(maxsize=512)
def _font(index: int, size: int) -> ImageFont.ImageFont:
    files = _font_files()
    if files:
        try:
            return ImageFont.truetype(files[index % len(files)], size)
        except OSError:
            pass
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow < 10.1 has one size only
        return ImageFont.load_default()
