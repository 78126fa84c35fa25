#!/usr/bin/env python3
"""Turns the hand-labelled photos of several products into query files of `shelfsight eval --scan`.

    scripts/shelf_photos.py --data DIR --out OUT [--crops] [--annotate FOLDER]

The labels are `models/labels/shelves.json`: boxes and products, no pictures. DIR holds `grocery/` as for
`scripts/real_data.py`, which must have written its catalogues to OUT. Written there, image paths relative to
DIR:

    shelves_queries.csv      every labelled photo that is in DIR, with the product of each labelled box
    shelves_val_queries.csv  those of the `val` list alone; the image encoder was trained on `train` photos
    shelves_photos.csv       grocery_photos.csv without the photos that are queries here

`--crops` (Pillow) also cuts every labelled box into OUT/crops, with the margin that `scan` gives a box, and
lists them in shelves_crops.csv, to be asked with `--images OUT`. `--annotate` (Pillow) draws the boxes.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

from real_data import write

LABELS = Path(__file__).resolve().parents[1] / "models" / "labels" / "shelves.json"
QUERY_COLUMNS = ["image", "text", "ids", "id"]
MARGIN = 0.03  # as src/engine/scan.rs


def load(labels: Path = LABELS) -> dict:
    """The labels file: `products`, and `photos` with `boxes` and `ignore` as its `about` says."""
    return json.loads(labels.read_text(encoding="utf-8"))


def ids(photo: dict) -> list[str]:
    """The product of each box that has one."""
    return [str(box["product"]) for box in photo["boxes"] if box["product"] is not None]


def queries(photos: list[dict]) -> list[dict]:
    return [{"image": photo["image"], "ids": " ".join(ids(photo)), "id": photo["image"]} for photo in photos]


def without(catalogue: Path, photos: list[dict]) -> tuple[list[str], list[dict]]:
    """Columns and rows of a catalogue less the photos."""
    asked = {photo["image"] for photo in photos}
    with catalogue.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    for row in rows:
        row["images"] = " ".join(image for image in row["images"].split() if image not in asked)
    return list(reader.fieldnames or []), rows


def upright(path: Path):
    """A photo as people see it, with Pillow."""
    from PIL import Image, ImageOps

    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def cut(data: Path, out: Path, photos: list[dict]) -> list[dict]:
    """Every labelled box as a picture of its own; its name in the query file is `photo#box`."""
    folder, rows = out / "crops", []
    folder.mkdir(exist_ok=True)
    for at, photo in enumerate(photos):
        picture = upright(data / photo["image"])
        for number, box in enumerate(photo["boxes"]):
            x0, y0, x1, y1 = box["box"]
            dx, dy = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
            grown = (max(0, x0 - dx), max(0, y0 - dy), min(1, x1 + dx), min(1, y1 + dy))
            edges = [round(v * side) for v, side in zip(grown, picture.size * 2, strict=True)]
            name = f"crops/{at:03d}_{number:02d}.png"
            picture.crop(edges).save(out / name)
            product = "" if box["product"] is None else str(box["product"])
            rows.append({"image": name, "ids": product, "id": f"{photo['image']}#{number}"})
    return rows


def annotate(data: Path, folder: Path, photos: list[dict], products: list[str]) -> None:
    """The photos, thrice as large, with boxes and names: heaps thin, unknown products white, ignored grey."""
    from PIL import ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        picture = upright(data / photo["image"])
        picture = picture.resize((picture.width * 3, picture.height * 3))
        draw = ImageDraw.Draw(picture)

        def edges(box: list[float], size: tuple[int, int] = picture.size) -> list[float]:
            return [v * (side - 1) for v, side in zip(box, size * 2, strict=True)]

        for box in photo["ignore"]:
            draw.rectangle(edges(box), outline="gray")
        for box in photo["boxes"]:
            known = box["product"] is not None
            place = edges(box["box"])
            draw.rectangle(place, outline="lime" if known else "white", width=1 if box.get("heap") else 4)
            name = products[box["product"]] if known else "?"
            where = (place[0] + 5, place[1] + 5)
            draw.rectangle(draw.textbbox(where, name), fill="black")
            draw.text(where, name, fill="white")
        picture.save(folder / (Path(photo["image"]).stem + ".png"))
    print(f"{folder}: {len(photos)} pictures")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crops", action="store_true")
    parser.add_argument("--annotate", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.crops or args.annotate:
        try:
            import PIL  # noqa: F401
        except ImportError:
            print("--crops and --annotate need Pillow (pip install pillow)", file=sys.stderr)
            return 1
    labels = load()
    photos = [photo for photo in labels["photos"] if (args.data / photo["image"]).is_file()]
    for photo in labels["photos"]:
        if photo not in photos:
            print(f"missing: {args.data / photo['image']}", file=sys.stderr)
    if not photos:
        print(f"none of the labelled photos is in {args.data}", file=sys.stderr)
        return 1
    catalogue = args.out / "grocery_photos.csv"
    if not catalogue.is_file():
        print(
            f"no {catalogue}; run scripts/real_data.py with the same --data and --out first", file=sys.stderr
        )
        return 1
    write(args.out / "shelves_queries.csv", QUERY_COLUMNS, queries(photos))
    val = [photo for photo in photos if photo["split"] == "val"]
    write(args.out / "shelves_val_queries.csv", QUERY_COLUMNS, queries(val))
    write(args.out / "shelves_photos.csv", *without(catalogue, photos))
    if args.crops:
        write(args.out / "shelves_crops.csv", QUERY_COLUMNS, cut(args.data, args.out, photos))
    if args.annotate:
        annotate(args.data, args.annotate, photos, labels["products"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
