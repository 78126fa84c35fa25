#!/usr/bin/env python3
"""Turns two public data sets into the catalogue and query files of the `shelfsight` command.

    scripts/real_data.py --data DIR --out OUT [--grocery-split val]

DIR holds `grocery/` (Grocery Store dataset, Klasson et al., WACV 2019, MIT) and `datakick/` (CC0: `items.csv`
with gtin14, brand, name, size, images; a folder `images/`). Written to OUT, image paths relative to DIR:

    grocery_iconic.csv   81 products, one iconic picture each
    grocery_photos.csv   81 products with all training photos
    grocery_queries.csv  photos of the chosen split; grocery_names.csv  product names as text queries
    datakick.csv         all products; pictures that are not queries
    datakick_queries.csv one picture of each product that has several
    datakick_both.csv    the same pictures, with brand and name as text beside

Standard library only, so that it runs anywhere.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

COLUMNS = ["id", "title", "brand", "category", "gtin", "images", "description"]
QUERY_COLUMNS = ["image", "text", "ids"]


def write(path: Path, columns: list[str], rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, columns, restval="")
        out.writeheader()
        out.writerows(rows)
    print(f"{path.name}: {len(rows)} rows")


def photos(data: Path, split: str) -> list[tuple[str, int]]:
    """`(path relative to data, product)` of each photo of a split file."""
    lines = (data / f"grocery/{split}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if line.strip()]
    return [(f"grocery/{path.strip()}", int(product)) for path, product, *_ in rows]


def grocery(data: Path, out: Path, split: str) -> None:
    with (data / "grocery/classes.csv").open(encoding="utf-8") as file:
        classes = list(csv.DictReader(file))
    train: dict[int, list[str]] = {}
    for path, product in photos(data, "train"):
        train.setdefault(product, []).append(path)
    iconic, gallery, names = [], [], []
    for row in classes:
        product = int(row["Class ID (int)"])
        title = row["Class Name (str)"].replace("-", " ")
        text = data / "grocery" / row["Product Description Path (str)"].lstrip("/")
        common = {
            "id": product,
            "title": title,
            "category": row["Coarse Class Name (str)"].replace("-", " "),
            "description": " ".join(text.read_text(encoding="utf-8", errors="replace").split()),
        }
        picture = "grocery/" + row["Iconic Image Path (str)"].lstrip("/")
        iconic.append(common | {"images": picture})
        gallery.append(common | {"images": " ".join(train.get(product, []))})
        names.append({"text": title, "ids": product})
    write(out / "grocery_iconic.csv", COLUMNS, iconic)
    write(out / "grocery_photos.csv", COLUMNS, gallery)
    write(out / "grocery_names.csv", QUERY_COLUMNS, names)
    queries = [{"image": path, "ids": product} for path, product in photos(data, split)]
    write(out / "grocery_queries.csv", QUERY_COLUMNS, queries)


def is_gtin14(text: str) -> bool:
    """14 digits whose last is the GS1 check digit of the others."""
    if len(text) != 14 or not text.isascii() or not text.isdigit():
        return False
    total = sum(int(digit) * (1 if at % 2 else 3) for at, digit in enumerate(text[:13]))
    return (10 - total % 10) % 10 == int(text[13])


def datakick(data: Path, out: Path) -> None:
    with (data / "datakick/items.csv").open(encoding="utf-8") as file:
        items = list(csv.DictReader(file))
    rows, queries, both, bad = [], [], [], 0
    for item in items:
        pictures = [f"datakick/images/{name}" for name in item["images"].split()]
        if len(pictures) > 1:
            query = {"image": pictures.pop(), "ids": item["gtin14"]}
            queries.append(query)
            both.append(query | {"text": f"{item['brand']} {item['name']}".strip()})
        size = re.sub(r"\s+", " ", item["size"]).strip()
        # A few numbers in the list are mistyped; `pack build` would refuse them, and rightly.
        gtin = item["gtin14"] if is_gtin14(item["gtin14"]) else ""
        bad += not gtin
        row = {"id": item["gtin14"], "title": item["name"], "brand": item["brand"], "gtin": gtin}
        rows.append(row | {"images": " ".join(pictures), "attr.size": size})
    write(out / "datakick.csv", [*COLUMNS, "attr.size"], rows)
    print(f"datakick.csv: {bad} rows without their number, which is no GTIN")
    write(out / "datakick_queries.csv", QUERY_COLUMNS, queries)
    write(out / "datakick_both.csv", QUERY_COLUMNS, both)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--grocery-split", default="val")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = False
    for name, convert in [
        ("grocery", lambda: grocery(args.data, args.out, args.grocery_split)),
        ("datakick", lambda: datakick(args.data, args.out)),
    ]:
        if (args.data / name).is_dir():
            convert()
            found = True
        else:
            print(f"{name}: not in {args.data}, skipped")
    if not found:
        print("neither grocery/ nor datakick/ found; see the top of this file", file=sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
