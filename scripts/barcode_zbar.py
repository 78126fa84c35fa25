"""Reads the photos of `examples/barcode_rate.rs` with zbar, for comparison.

apt-get install libzbar0 && pip install pyzbar pillow
python3 scripts/barcode_zbar.py --data DIR [--enlarge 2]
"""

import argparse
import csv
import time
from pathlib import Path

from PIL import Image
from pyzbar.pyzbar import ZBarSymbol, decode

SYMBOLS = [ZBarSymbol.EAN13, ZBarSymbol.EAN8, ZBarSymbol.UPCA, ZBarSymbol.UPCE]


def gtin(found) -> str:
    """The 14 digits of a symbol; zbar gives UPC-E unexpanded."""
    text = found.data.decode()
    if found.type != "UPCE" or len(text) != 8:
        return text.zfill(14)
    system, body, check = text[0], text[1:7], text[7]
    last = body[5]
    if last in "012":
        upc = body[:2] + last + "0000" + body[2:5]
    elif last == "3":
        upc = body[:3] + "00000" + body[3:5]
    elif last == "4":
        upc = body[:4] + "00000" + body[4]
    else:
        upc = body[:5] + "0000" + last
    return (system + upc + check).zfill(14)


def main() -> None:
    """Prints the photos read, wrong numbers, and the time a photo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--enlarge", type=int, default=1, help="also try the photo this many times as large")
    args = parser.parse_args()
    photos = {}
    with (args.data / "items.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            photos.update((image, row["gtin14"]) for image in row["images"].split())
    read, wrong, times = 0, 0, []
    for name, truth in sorted(photos.items()):
        photo = Image.open(args.data / "images" / name).convert("L")
        start = time.perf_counter()
        found = {gtin(symbol) for symbol in decode(photo, symbols=SYMBOLS)}
        if not found and args.enlarge > 1:
            size = (photo.width * args.enlarge, photo.height * args.enlarge)
            found = {gtin(symbol) for symbol in decode(photo.resize(size, Image.BICUBIC), symbols=SYMBOLS)}
        times.append((time.perf_counter() - start) * 1e3)
        read += truth in found
        for number in sorted(found - {truth}):
            wrong += 1
            print(f"{name}: {number} where {truth} is listed")
    times.sort()
    share = 100 * read / len(photos)
    print(f"read {read} of {len(photos)} photos ({share:.1f} %), wrong {wrong}")
    print(f"ms a photo: p50 {times[len(times) // 2]:.1f}, p95 {times[len(times) * 95 // 100]:.1f}")


if __name__ == "__main__":
    main()
