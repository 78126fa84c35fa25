"""Where pictures and texts come from: the Grocery Store and Datakick folders, and how a picture becomes a
tensor.

The data folder is named by `--data` or by the variable `SHELFSIGHT_DATA`; it holds `grocery/` and
`datakick/`.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


class DataMissing(Exception):
    """No data folder, or a folder without the files asked for."""


@dataclass(frozen=True)
class Preprocess:
    """How a picture of any size becomes the encoder's input; written into the manifest as it stands."""

    width: int = 224
    height: int = 224
    resize: str = "squash"
    filter: str = "bilinear"
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)
    layout: str = "nchw"
    crop_fraction: float = 1.0


@dataclass(frozen=True)
class Picture:
    """One picture file of one product; `kind` is `photo` or `iconic`, `split` is `train` or `val`."""

    path: Path
    product: str
    kind: str
    split: str


@dataclass(frozen=True)
class Product:
    """A product's texts, whatever the source has of them."""

    id: str
    name: str
    brand: str = ""
    size: str = ""
    coarse: str = ""
    description: str = ""

    @property
    def title(self) -> str:
        """Brand and name in one line, the brand not repeated where the name begins with it."""
        if self.brand and not self.name.lower().startswith(self.brand.lower()):
            return f"{self.brand} {self.name}"
        return self.name


def data_dir(flag: str | Path | None = None) -> Path:
    """The data folder from the flag, else from `SHELFSIGHT_DATA`."""
    value = flag or os.environ.get("SHELFSIGHT_DATA")
    if not value:
        raise DataMissing("no data folder: pass --data DIR or set SHELFSIGHT_DATA")
    path = Path(value)
    if not path.is_dir():
        raise DataMissing(f"{path} is not a folder: --data or SHELFSIGHT_DATA must name the data folder")
    return path


def grocery(root: Path) -> tuple[list[Product], list[Picture]]:
    """The 81 products of the Grocery Store dataset, their iconic pictures and the train and val photos."""
    base = _folder(root, "grocery")
    products, pictures = [], []
    with open(base / "classes.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            number = int(row["Class ID (int)"])
            text = base / row["Product Description Path (str)"].lstrip("/")
            products.append(
                Product(
                    id=f"grocery-{number}",
                    name=row["Class Name (str)"].replace("-", " "),
                    coarse=row["Coarse Class Name (str)"].replace("-", " "),
                    description=text.read_text(encoding="utf-8", errors="replace").strip(),
                )
            )
            iconic = base / row["Iconic Image Path (str)"].lstrip("/")
            pictures.append(Picture(iconic, f"grocery-{number}", "iconic", "train"))
    for split in ("train", "val"):
        listing = base / f"{split}.txt"
        if not listing.is_file():
            raise DataMissing(f"{listing} is missing")
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.strip():
                path, number, _ = (part.strip() for part in line.split(","))
                pictures.append(Picture(base / path, f"grocery-{int(number)}", "photo", split))
    return products, pictures


def datakick(root: Path) -> tuple[list[Product], list[Picture]]:
    """The Datakick items and the photos that some of them have."""
    base = _folder(root, "datakick")
    products, pictures = [], []
    with open(base / "items.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = f"datakick-{row['gtin14']}"
            products.append(Product(id=key, name=row["name"], brand=row["brand"], size=row["size"]))
            for name in (row["images"] or "").split():
                pictures.append(Picture(base / "images" / name, key, "photo", "train"))
    return products, pictures


def _folder(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_dir():
        raise DataMissing(f"{root} has no folder {name}/")
    return path


def load_picture(path: Path) -> Image.Image:
    """Decodes a file as RGB, upright, transparency over white."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def resize(image: Image.Image, prep: Preprocess) -> np.ndarray:
    """The manifest's resize: u8 `[height, width, 3]`. Antialiased convolution, as the phone does it."""
    width, height, kernel = prep.width, prep.height, FILTERS[prep.filter]
    if prep.resize == "squash":
        image = image.resize((width, height), kernel)
    elif prep.resize == "crop":
        scale = max(width / image.width, height / image.height) / prep.crop_fraction
        size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        image = image.resize(size, kernel)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        image = image.crop((left, top, left + width, top + height))
    elif prep.resize == "pad":
        scale = min(width / image.width, height / image.height)
        size = (
            min(width, max(1, round(image.width * scale))),
            min(height, max(1, round(image.height * scale))),
        )
        canvas = Image.new("RGB", (width, height), tuple(round(v) for v in prep.mean))
        canvas.paste(image.resize(size, kernel), ((width - size[0]) // 2, (height - size[1]) // 2))
        image = canvas
    else:
        raise ValueError(f"unknown resize {prep.resize!r}: squash, crop or pad")
    return np.asarray(image, dtype=np.uint8)


def to_input(pixels: np.ndarray, prep: Preprocess) -> np.ndarray:
    """u8 `[n, H, W, 3]` → f32 `[n, 3, H, W]`, `(x − mean) / std`."""
    x = (pixels.astype(np.float32) - np.float32(prep.mean)) / np.float32(prep.std)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def read_inputs(paths: list[Path], prep: Preprocess) -> np.ndarray:
    """Decodes and resizes many files: u8 `[n, H, W, 3]`."""
    out = np.empty((len(paths), prep.height, prep.width, 3), np.uint8)
    for i, path in enumerate(paths):
        out[i] = resize(load_picture(path), prep)
    return out
