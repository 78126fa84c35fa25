#!/usr/bin/env python3
"""What each kind of evidence adds, as a table and a sheet of pictures: queries, right and wrong answers.

  scripts/accuracy_pictures.py --catalog FILE --images DIR --queries FILE --query-images DIR --out OUT
  scripts/accuracy_pictures.py --demo DIR --out OUT

Builds a pack with local descriptors and asks it the same photos by looks, with reranking, with words and with
barcodes. The query file has `image,text,ids`; words are asked with where a row has some. --demo takes the
folder that `shelfsight demo` wrote: its photos, with brand and flavour as words. Writes OUT/accuracy.jpg and
OUT/accuracy.md. Needs Pillow; --binary names the built command.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELL, GAP, LINE = 148, 8, 17
# Of a line below a picture.
LETTERS = 24
SHOWN = 3
RIGHT, WRONG, INK, PAPER = (30, 140, 60), (200, 50, 40), (40, 40, 40), (255, 255, 255)

# Name of a way, options of `eval`, whether words are asked with.
WAYS = [
    ("looks", ["--no-barcode"], False),
    ("looks, reranked", ["--no-barcode", "--rerank"], False),
    ("looks and words", ["--no-barcode"], True),
    ("looks and barcode", [], False),
]


def catalogue(path):
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file] if path.suffix == ".jsonl" else list(csv.DictReader(file))
    for row in rows:
        row["images"] = row["images"].split() if isinstance(row["images"], str) else row["images"]
    return {str(row["id"]): row for row in rows}


def demo_queries(folder, products):
    """The demo names a photo after its product."""
    rows = []
    for path in sorted((folder / "photos").glob("*.jpg")):
        product = products[path.stem]
        words = f"{product['brand']} {product['attr']['flavour']}"
        rows.append({"image": path.name, "text": words, "ids": path.stem})
    return rows


def ask(args, pack, queries, options, words):
    """The ten best ids of each query, in their order."""
    file, answers = args.out / "queries.csv", args.out / "answers.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["id", "image", "text", "ids"])
        writer.writeheader()
        for at, row in enumerate(queries):
            text = row.get("text", "") if words else ""
            writer.writerow({"id": at, "image": row["image"], "text": text, "ids": row["ids"]})
    command = [args.binary, "eval", "--pack", pack, "--queries", file, "--images", args.query_images]
    command += ["--submission", answers, "--json", *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout.strip() or done.stderr.strip())
    found = dict(line.split(",", 1) for line in answers.read_text(encoding="utf-8").splitlines())
    lists = [found.get(str(at), "").split() for at in range(len(queries))]
    return lists, json.loads(done.stdout)


def chosen(queries, lists, count):
    """Queries on which the ways differ first, then others, spread over the file."""

    def first(way, at):
        return lists[way][at][:1] and lists[way][at][0] in queries[at]["ids"].split()

    def differ(at):
        return -len({bool(first(way, at)) for way in lists})

    order = sorted(range(len(queries)), key=lambda at: (differ(at), at))
    return sorted(order[:count])


def sheet(args, products, queries, lists):
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default()
    picked = chosen(queries, lists, args.rows)
    width = (CELL + GAP) * (1 + SHOWN * len(lists)) + GAP * len(lists)
    height = 2 * LINE + len(picked) * (CELL + 3 * LINE + GAP)
    paper = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(paper)

    def place(path, x, y, colour):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((CELL - 8, CELL - 8))
        if colour:
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=colour, width=4)
        paper.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))

    def write(x, y, text, colour=INK):
        draw.text((x, y), text.encode("latin-1", "replace").decode("latin-1")[:LETTERS], colour, font=font)

    starts = [(1 + SHOWN * at) * (CELL + GAP) + GAP * (at + 1) for at in range(len(lists))]
    write(0, 2, "photo asked")
    for x, way in zip(starts, lists, strict=True):
        write(x, 2, way)
    for line, at in enumerate(picked):
        query, y = queries[at], 2 * LINE + line * (CELL + 3 * LINE + GAP)
        place(args.query_images / query["image"], 0, y, None)
        write(0, y + CELL + 2, query.get("text", ""))
        right = query["ids"].split()
        for x, way in zip(starts, lists, strict=True):
            for place_at, product in enumerate(lists[way][at][:SHOWN]):
                row, left = products[product], x + place_at * (CELL + GAP)
                colour = RIGHT if product in right else WRONG
                if row["images"]:
                    place(args.images / row["images"][0], left, y, colour)
                name = textwrap.wrap(str(row.get("title") or product), LETTERS)
                for part, text in enumerate(name[:2]):
                    write(left, y + CELL + 2 + part * LINE, text, colour)
    paper.save(args.out / "accuracy.jpg", quality=72)


def main():
    ask_for = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask_for.add_argument("--demo", type=Path)
    ask_for.add_argument("--catalog", type=Path)
    ask_for.add_argument("--images", type=Path)
    ask_for.add_argument("--queries", type=Path)
    ask_for.add_argument("--query-images", type=Path)
    ask_for.add_argument("--out", type=Path, required=True)
    ask_for.add_argument("--rows", type=int, default=6, help="queries on the sheet")
    ask_for.add_argument("--binary", type=Path, default=ROOT / "target/release/shelfsight")
    args = ask_for.parse_args()
    if args.demo:
        args.catalog, args.images = args.demo / "catalogue.jsonl", args.demo / "catalogue"
        args.query_images = args.demo / "photos"
    elif not (args.catalog and args.images and args.queries and args.query_images):
        ask_for.error("name --demo, or --catalog, --images, --queries and --query-images")
    try:
        import PIL  # noqa: F401
    except ImportError:
        sys.exit("the sheet is drawn with Pillow: pip install pillow")
    args.out.mkdir(parents=True, exist_ok=True)
    products = catalogue(args.catalog)
    if args.demo:
        queries = demo_queries(args.demo, products)
    else:
        with args.queries.open(encoding="utf-8") as file:
            queries = [row for row in csv.DictReader(file) if row.get("image")]
    pack = args.out / "accuracy.shelf"
    build = ["pack", "build", "--catalog", args.catalog, "--images", args.images, "--rerank", "--out", pack]
    subprocess.run([str(part) for part in [args.binary, *build]], check=True, stdout=subprocess.DEVNULL)
    lists, lines = {}, ["| asked by | R@1 | R@5 |", "|---|---|---|"]
    for name, options, words in WAYS:
        if words and not any(row.get("text") for row in queries):
            continue
        lists[name], metrics = ask(args, pack, queries, options, words)
        low, high = metrics["recall@1_95"]
        one, five = metrics["recall@1"], metrics["recall@5"]
        lines.append(f"| {name} | {one:.3f} [{low:.3f}, {high:.3f}] | {five:.3f} |")
    text = "\n".join(lines) + f"\n\n{len(queries)} photos, {len(products)} products.\n"
    (args.out / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)
    sheet(args, products, queries, lists)
    os.remove(args.out / "queries.csv")
    os.remove(args.out / "answers.csv")


if __name__ == "__main__":
    main()
