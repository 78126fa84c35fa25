"""The results as tables in Markdown."""

from __future__ import annotations

COLUMNS = ("map@10", "map_full@10", "prec@10", "mar@10", "mar@50", "mar@100")
ORDER = (
    "shipped words alone",
    "hybrid's words alone",
    "shipped vector, whole picture",
    "shipped vector, 3×3 windows",
    "shipped vector, true boxes",
    "shipped vector, detector",
    "shipped vector + words, true boxes",
    "shipped vector + words, detector",
    "hybrid, whole picture",
    "hybrid, 3×3 windows",
    "hybrid, true boxes",
    "hybrid, detector",
    "without CLR",
    "without MLM and MRM",
    "two streams",
    "single stream",
    "joint half of the hybrid",
    "separate half of the hybrid",
)
SPLITS = {"val": "Products of the training", "unseen": "Products left out of CAPTURE's training"}


def number(value: float) -> str:
    """Three places without the leading zero."""
    return f"{value:.3f}".removeprefix("0")


def tables(results: dict) -> str:
    """One table a split and gallery, then the claims."""
    parts = []
    for split, galleries in results["rows"].items():
        for gallery, rows in galleries.items():
            parts.append(f"{SPLITS[split]}, {results['pictures'][split]} pictures, gallery: {gallery}\n")
            parts.append("| | " + " | ".join(COLUMNS) + " | 95 % of mar@10 |")
            parts.append("|---|" + "---:|" * (len(COLUMNS) + 1))
            for row in ORDER:
                if row in rows:
                    figures = " | ".join(number(rows[row][column]) for column in COLUMNS)
                    interval = rows[row]["mar@10 interval"].split(" ", 1)[1]
                    parts.append(f"| {row} | {figures} | {interval} |")
            parts.append("")
    parts.append(
        "| pictures, gallery | row | over | mar@10 | map@10 | map_full@10 |\n|---|---|---|---|---|---|"
    )
    for claim in results["claims"]:
        where = f"{claim['split']}, {claim['gallery']}"
        figures = " | ".join(claim[metric] for metric in ("mar@10", "map@10", "map_full@10"))
        parts.append(f"| {where} | {claim['row']} | {claim['over']} | {figures} |")
    return "\n".join(parts) + "\n"
