#!/usr/bin/env python3
"""How many products of shop photos are named: by the whole photo, by detected boxes, by boxes drawn by hand.

    scripts/shelf_scores.py --bin shelfsight --pack P.shelf --data DIR --out OUT [--split val]

OUT has what `scripts/shelf_photos.py --data DIR --out OUT --crops` wrote. The first answers of a photo's
lists are judged, means over photos with 95 % bootstrap intervals:

    named   share of its labels that are a first answer, each answer for one label, as in `eval --scan`
    listed  share of its different products that are a first answer
    right   share of the different first answers that are its products; one for what has no label is wrong

`by_kind` counts labelled boxes with a product: `found` by a detection (IoU at least 0.5), named right by that
detection (`found_named`), by any detection whose middle lies in the box (`inside_named`), and when the box
drawn by hand is asked (`true_named`). Standard library only.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from shelf_photos import ids, load

RESAMPLES = 10_000


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def first_answers(args: argparse.Namespace, queries: str, images: Path) -> dict[str, str]:
    """Name of a query → its first product, one whole picture a query."""
    with tempfile.TemporaryDirectory() as folder:
        ranked = Path(folder) / "ranked.csv"
        flags = ["--queries", str(args.out / queries), "--images", str(images), "--no-barcode"]
        run([args.bin, "eval", "--pack", str(args.pack), *flags, "--submission", str(ranked)])
        with ranked.open(newline="", encoding="utf-8") as file:
            return {name: ranks.split()[0] for name, ranks in csv.reader(file) if ranks.strip()}


def scanned(args: argparse.Namespace, photos: list[dict]) -> list[list[dict]]:
    """The items of each photo, boxes as pixels x, y, width, height."""
    with tempfile.TemporaryDirectory() as folder:
        for at, photo in enumerate(photos):
            source = (args.data / photo["image"]).resolve()
            (Path(folder) / f"{at:03d}{source.suffix}").symlink_to(source)
        answer = json.loads(run([args.bin, "--json", "scan", "--pack", str(args.pack), "--top", "1", folder]))
    return [row["items"] for row in sorted(answer["photos"], key=lambda row: row["photo"])]


def named(wanted: list[str], answers: list[str]) -> float:
    left, right = list(answers), 0
    for label in wanted:
        if label in left:
            left.remove(label)
            right += 1
    return right / len(wanted)


def judge(wanted: list[str], answers: list[str]) -> dict[str, float]:
    there, said = set(wanted), set(answers)
    both = len(there & said)
    return {"named": named(wanted, answers), "listed": both / len(there), "right": both / max(1, len(said))}


def iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes given by their corners."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (area - shared) if shared else 0.0


def pair(truth: list[list[float]], found: list[list[float]], need: float = 0.5) -> dict[int, int]:
    """True box → the detection that stands for it: the most certain detection first takes its best box."""
    taken: dict[int, int] = {}
    for at, box in enumerate(found):
        best = max(
            (t for t in range(len(truth)) if t not in taken), key=lambda t: iou(truth[t], box), default=None
        )
        if best is not None and iou(truth[best], box) >= need:
            taken[best] = at
    return taken


def holds_middle(outer: list[float], inner: list[float]) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def interval(values: list[float]) -> list[float]:
    draw = random.Random(0)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    return [round(means[int(RESAMPLES * share)], 4) for share in (0.025, 0.975)]


def row(values: list[float]) -> dict:
    return {"mean": round(sum(values) / len(values), 4), "95": interval(values)}


def size(path: Path) -> tuple[int, int]:
    """Width and height of a JPEG from its frame header."""
    data, at = path.read_bytes(), 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", default="shelfsight")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=["val", "train"], help="only photos of this list")
    args = parser.parse_args()
    photos = [
        photo
        for photo in load()["photos"]
        if args.split in (None, photo["split"]) and (args.data / photo["image"]).is_file()
    ]
    if not photos:
        sys.exit(f"none of the labelled photos is in {args.data}")
    whole = first_answers(args, "shelves_queries.csv", args.data)
    crops = first_answers(args, "shelves_crops.csv", args.out)
    levels: dict[str, list[dict]] = {"image": [], "boxes": [], "true boxes": []}
    counts = ("boxes", "found", "found_named", "inside_named", "true_named")
    kinds = {kind: dict.fromkeys(counts, 0) for kind in ("piece", "heap")}
    for photo, items in zip(photos, scanned(args, photos), strict=True):
        wide, high = size(args.data / photo["image"])
        found = [
            [x / wide, y / high, (x + w) / wide, (y + h) / high] for x, y, w, h in (i["box"] for i in items)
        ]
        first = [item["results"][0]["id"] if item["results"] else "" for item in items]
        by_hand = [crops.get(f"{photo['image']}#{number}", "") for number in range(len(photo["boxes"]))]
        answers = {"image": [whole.get(photo["image"], "")], "boxes": first, "true boxes": by_hand}
        for level, said in answers.items():
            levels[level].append(judge(ids(photo), said))
        pairs = pair([box["box"] for box in photo["boxes"]], found)
        for number, box in enumerate(photo["boxes"]):
            if box["product"] is None:
                continue
            tally, product = kinds["heap" if box.get("heap") else "piece"], str(box["product"])
            tally["boxes"] += 1
            tally["found"] += number in pairs
            tally["found_named"] += number in pairs and first[pairs[number]] == product
            tally["inside_named"] += any(
                said == product and holds_middle(box["box"], place)
                for said, place in zip(first, found, strict=True)
            )
            tally["true_named"] += by_hand[number] == product
    metrics = ("named", "listed", "right")
    table = {
        level: {name: row([scores[name] for scores in found]) for name in metrics}
        for level, found in levels.items()
    }
    for better, base in (("boxes", "image"), ("true boxes", "boxes")):
        pairs_of = list(zip(levels[better], levels[base], strict=True))
        table[f"{better} - {base}"] = {
            name: row([a[name] - b[name] for a, b in pairs_of]) for name in metrics
        }
    report = {"photos": len(photos), "levels": table, "by_kind": kinds}
    print(f"{len(photos)} photos" + "".join(f"{name:>28}" for name in metrics))
    for level, found in table.items():
        cells = (
            f"{found[name]['mean']:.3f} [{found[name]['95'][0]:.3f}, {found[name]['95'][1]:.3f}]"
            for name in metrics
        )
        print(f"{level:<20}" + "".join(f"{cell:>26}" for cell in cells))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
