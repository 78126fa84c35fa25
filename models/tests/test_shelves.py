"""Labels of shop photos with several products, and the scripts that ask them."""

from __future__ import annotations

import csv
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shelfsight_models.detector import shelves

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import shelf_photos
import shelf_scores

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = json.loads(shelves.LABELS.read_text())
PHOTOS = LABELS["photos"]


def test_the_labels_are_of_different_photos_of_one_list_each():
    images = [photo["image"] for photo in PHOTOS]
    assert len(set(images)) == len(images) >= 30
    for photo in PHOTOS:
        assert photo["image"].startswith(f"grocery/{photo['split']}/") and photo["split"] in ("train", "val")


def test_products_are_the_81_of_the_set():
    assert len(set(LABELS["products"])) == len(LABELS["products"]) == 81
    known = [box["product"] for photo in PHOTOS for box in photo["boxes"] if box["product"] is not None]
    assert all(type(product) is int and 0 <= product < 81 for product in known)


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: Path(photo["image"]).stem)
def test_a_photo_shows_several_products_in_boxes_inside_it(photo):
    assert len({box["product"] for box in photo["boxes"]} - {None}) >= 2
    for box in photo["boxes"]:
        assert set(box) <= {"box", "product", "heap"} and box.get("heap", True) is True
    boxes = [box["box"] for box in photo["boxes"]]
    assert len({tuple(box) for box in boxes}) == len(boxes)
    for x0, y0, x1, y1 in boxes + photo["ignore"]:
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1


def test_the_labels_agree_with_the_set():
    grocery = Path(os.environ.get("SHELFSIGHT_DATA") or REPOSITORY.parent / "shared" / "data") / "grocery"
    if not (grocery / "classes.csv").is_file():
        why = f"labels NOT CHECKED against the Grocery Store set: no {grocery} (set SHELFSIGHT_DATA)"
        warnings.warn(why, stacklevel=1)  # pytest -q shows warnings, not reasons of skips
        pytest.skip(why)
    with (grocery / "classes.csv").open(encoding="utf-8") as file:
        names = {int(row["Class ID (int)"]): row["Class Name (str)"] for row in csv.DictReader(file)}
    assert [names[product] for product in sorted(names)] == LABELS["products"]
    for split in ("train", "val"):
        rows = [line.split(",") for line in (grocery / f"{split}.txt").read_text().splitlines()]
        product_of = {f"grocery/{image.strip()}": int(product) for image, product, *_ in rows}
        for photo in PHOTOS:
            if photo["split"] == split:  # the set names one product of each photo, which must be among ours
                assert product_of[photo["image"]] in {box["product"] for box in photo["boxes"]}


def photo(name: str, split: str = "val") -> dict:
    boxes = [
        {"box": [0, 0, 0.5, 0.5], "product": 3},
        {"box": [0.5, 0.5, 1, 1], "product": None},
        {"box": [0.25, 0.5, 0.5, 1], "product": 1, "heap": True},
    ]
    return {"image": name, "split": split, "boxes": boxes, "ignore": [[0.9, 0, 1, 0.1]]}


def test_a_query_names_what_is_known_and_the_gallery_lacks_its_photo(tmp_path):
    catalogue = tmp_path / "grocery_photos.csv"
    catalogue.write_text("id,title,images\n1,A,a.jpg b.jpg\n3,C,c.jpg\n")
    assert shelf_photos.queries([photo("b.jpg")]) == [{"image": "b.jpg", "ids": "3 1", "id": "b.jpg"}]
    columns, rows = shelf_photos.without(catalogue, [photo("b.jpg")])
    assert columns == ["id", "title", "images"] and [row["images"] for row in rows] == ["a.jpg", "c.jpg"]


def test_crops_hold_the_box_and_scans_margin(tmp_path):
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:50, :100] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    rows = shelf_photos.cut(tmp_path, tmp_path, [photo("a.png")])
    assert [(row["ids"], row["id"]) for row in rows] == [("3", "a.png#0"), ("", "a.png#1"), ("1", "a.png#2")]
    with Image.open(tmp_path / rows[0]["image"]) as crop:
        assert crop.size == (103, 52)
        assert np.asarray(crop)[:50, :100].min() == 255


def test_answers_are_judged_each_for_one_label():
    assert shelf_scores.judge(["1", "1", "2"], ["1", "3", "3"]) == {
        "named": 1 / 3,
        "listed": 0.5,
        "right": 0.5,
    }
    assert shelf_scores.judge(["1", "1"], ["1", "1"]) == {"named": 1.0, "listed": 1.0, "right": 1.0}
    assert shelf_scores.judge(["1"], []) == {"named": 0.0, "listed": 0.0, "right": 0.0}


def test_a_true_box_takes_one_detection_that_covers_half_of_both():
    truth = [[0, 0, 0.4, 0.4], [0.5, 0.5, 1, 1]]
    found = [[0, 0, 0.4, 0.3], [0, 0, 0.4, 0.4], [0.5, 0.5, 0.6, 0.6]]
    assert shelf_scores.pair(truth, found) == {0: 0}
    assert shelf_scores.pair([], found) == {}


def test_the_size_of_a_jpeg_is_read_from_its_header(tmp_path):
    Image.new("RGB", (37, 21)).save(tmp_path / "a.jpg")
    assert shelf_scores.size(tmp_path / "a.jpg") == (37, 21)


def test_heaps_are_ignored_or_wanted():
    assert shelves.regions(photo("a"), heaps=True) == (
        [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 1]],
        [[0.9, 0, 1, 0.1]],
    )
    wanted, ignored = shelves.regions(photo("a"), heaps=False)
    assert len(wanted) == 2 and ignored == [[0.9, 0, 1, 0.1], [0.25, 0.5, 0.5, 1]]


def test_recall_is_counted_over_photos():
    box = np.float32([[0, 0, 10, 10]])
    none = np.zeros((0, 4), np.float32)
    rows = [(box, np.float32([0.9]), box, none), (none, np.zeros(0, np.float32), box, none)]
    assert shelves.recall_interval(rows, 0.3) == [0.0, 1.0]
    assert shelves.recall_interval(rows[:1], 0.3) == [1.0, 1.0]
    assert shelves.recall_interval(rows[:1], 0.95) == [0.0, 0.0]
