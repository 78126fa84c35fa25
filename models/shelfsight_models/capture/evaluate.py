"""CAPTURE's comparisons on pasted pictures: how a picture is cut, what is trained, which design, and the
shipped vector alone. Once for products that training saw, once for a third that it did not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..evaluate import bootstrap, paired
from ..item.data import fit_tokenizer
from ..shipped import ShippedText
from .composites import GROUPS
from .corpus import Asked, Corpus
from .data import Sampler, caption, descriptions
from .export import export, parity
from .networks import Encoder, count
from .queries import Gallery, ask, embed, with_words
from .report import tables
from .train import CaptureConfig, train

SPLITS = ("val", "unseen")
Judged = dict[str, np.ndarray]  # metric@N → one value a picture
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
MAIN = "hybrid, detector"
# What is claimed, or not: the first row against the second.
CLAIMS = (
    (MAIN, "hybrid, whole picture"),
    (MAIN, "hybrid, 3×3 windows"),
    ("hybrid, true boxes", MAIN),
    (MAIN, "without CLR"),
    (MAIN, "without MLM and MRM"),
    (MAIN, "two streams"),
    (MAIN, "single stream"),
    ("shipped vector, detector", "shipped vector, whole picture"),
    ("shipped vector, true boxes", "shipped vector, detector"),
    ("shipped vector, 3×3 windows", "shipped vector, detector"),
    ("shipped vector, detector", MAIN),
    ("shipped vector + words, detector", "shipped vector, detector"),
    ("shipped vector + words, detector", MAIN),
)
CUTS = {
    "whole": "whole picture",
    "windows": "3×3 windows",
    "true boxes": "true boxes",
    "detector": "detector",
}


def variants(config: CaptureConfig) -> dict[str, CaptureConfig]:
    """What is trained, of one size and one number of steps."""
    return {
        "hybrid": config,
        "without CLR": replace(config, objectives=config.objectives - {"clr"}),
        "without MLM and MRM": replace(config, objectives=config.objectives - {"mlm", "mrm"}),
        "two streams": replace(config, kind="two"),
        "single stream": replace(config, kind="single"),
    }


class Comparison:
    """The corpus with captions and galleries, and what every row found so far."""

    def __init__(self, config: CaptureConfig, corpus: Corpus, text: ShippedText, runs: Path):
        self.config, self.corpus, self.runs = config, corpus, runs
        self.texts = descriptions(corpus.products)
        self.entry_texts = [self.texts[p] for p in corpus.shown.single_product.tolist()]
        iconic = corpus.shown.single_iconic
        self.galleries = {
            name: Gallery(rows, corpus.shown.single_product[rows])
            for name, rows in (("catalogue", np.flatnonzero(iconic)), ("photos", np.flatnonzero(~iconic)))
        }
        self.captions = {
            name: self._captions(asked.labels, place)
            for place, (name, asked) in enumerate(corpus.asked.items())
        }
        self.text = text
        self.found: dict[tuple[str, str, str], list[Judged]] = {}
        self.encoders: dict[tuple[str, int], tuple[Encoder, Tokenizer]] = {}

    def _captions(self, labels: list[list[str]], place: int) -> list[str]:
        rng = np.random.default_rng([self.config.plan.seed, 23, place])
        return [caption(names, self.texts, self.config.caption_words, rng) for names in labels]

    def add(self, split: str, row: str, queries, cuts, asked: Asked, entries) -> None:
        for name, gallery in self.galleries.items():
            judged = ask(queries, cuts, asked.labels, entries, gallery)
            self.found.setdefault((split, name, row), []).append(judged)

    def shipped(self) -> float:
        """Rows that need no training; the weight of words is chosen on training composites."""
        entry = self.corpus.shown.single.vector.astype(np.float32)
        unique = {text: i for i, text in enumerate(dict.fromkeys(self.entry_texts))}
        entry_words = self.text.embed(list(unique))[[unique[t] for t in self.entry_texts]]
        weight = self._weight(entry, entry_words)
        for name, asked in self.corpus.asked.items():
            words = self._words(self.captions[name])
            split = name.split("-")[0]
            self.add(split, "shipped words alone", words, asked.cuts["whole"], asked, entry_words)
            for cut, label in CUTS.items():
                cuts = asked.cuts[cut]
                looks = cuts.regions.vector.astype(np.float32)
                self.add(split, f"shipped vector, {label}", looks, cuts, asked, entry)
                if cut in ("true boxes", "detector"):
                    both = with_words(looks, words[cuts.owner], weight)
                    entries = with_words(entry, entry_words, weight)
                    self.add(split, f"shipped vector + words, {label}", both, cuts, asked, entries)
        return weight

    def _words(self, captions: list[str]) -> np.ndarray:
        """Vectors of captions; zeros where there is none."""
        there = [i for i, text in enumerate(captions) if text]
        out = np.zeros((len(captions), self.text.manifest["dim"]), np.float32)
        out[there] = self.text.embed([captions[i] for i in there])
        return out

    def _weight(self, entry: np.ndarray, entry_words: np.ndarray, most: int = 300) -> float:
        shown, gallery = self.corpus.shown, self.galleries["catalogue"]
        labels = shown.labels[:most]
        words = self._words(self._captions(labels, 99))
        rows = np.flatnonzero(shown.items.owner < most)
        cuts = replace(shown.items, owner=shown.items.owner[rows], regions=shown.items.regions.take(rows))
        looks = cuts.regions.vector.astype(np.float32)
        best = []
        for weight in WEIGHTS:
            queries = with_words(looks, words[cuts.owner], weight)
            judged = ask(queries, cuts, labels, with_words(entry, entry_words, weight), gallery)
            best.append(judged["map_full@10"].mean() + judged["mar@10"].mean())
        return WEIGHTS[int(np.argmax(best))]

    def learn(self, name: str, variant: CaptureConfig, group: int | None) -> tuple[Encoder, Tokenizer]:
        """Trains one variant without the products of `group`, or reads what it became."""
        out = set() if group is None else self.corpus.groups[group]
        composites, singles = self.corpus.shown.leaving_out(group, out)
        where = f"{name.replace(' ', '_')}-seed{variant.seed}-{'val' if group is None else 'unseen'}"
        folder = self.runs / variant.name / where
        tokenizer = self._tokenizer([p for p in sorted(self.texts) if p not in out], variant, folder)
        length, words = variant.shape.length, variant.caption_words
        sampler = Sampler(
            self.corpus.shown, composites, singles, self.texts, tokenizer, length, words, variant.seed
        )
        return train(variant, sampler, folder), tokenizer

    def _tokenizer(self, products: list[str], variant: CaptureConfig, folder: Path) -> Tokenizer:
        """The tokenizer of a run, kept beside its weights: fitted again, it has other pieces."""
        path = folder / "tokenizer.json"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            fit_tokenizer([self.texts[p] for p in products], variant.shape.words).save(str(path))
        return Tokenizer.from_file(str(path))

    def trained(self, name: str, variant: CaptureConfig, group: int | None) -> None:
        """Trains one variant and asks it: of all products, or of the ones of `group` that it never saw."""
        start = time.monotonic()
        encoder, tokenizer = self.learn(name, variant, group)
        split, shown = "val" if group is None else "unseen", self.corpus.shown
        asked_name = "val" if group is None else f"unseen-{group}"
        asked, captions = self.corpus.asked[asked_name], self.captions[asked_name]
        entries = embed(encoder, shown.single, self.entry_texts, tokenizer)
        for cut in CUTS if name == "hybrid" else ["detector"]:
            cuts = asked.cuts[cut]
            queries = embed(encoder, cuts.regions, [captions[o] for o in cuts.owner], tokenizer)
            row = f"hybrid, {CUTS[cut]}" if name == "hybrid" else name
            self.add(split, row, queries.fused, cuts, asked, entries.fused)
            if row == MAIN:
                for i, half in enumerate(("joint half", "separate half")):
                    self.add(split, f"{half} of the hybrid", queries.half(i), cuts, asked, entries.half(i))
            if name == "hybrid" and cut == "whole":
                self.add(split, "hybrid's words alone", queries.words, cuts, asked, entries.words)
        if name == "hybrid":
            self.encoders[split, variant.seed] = encoder, tokenizer
        now = self.found[split, "catalogue", MAIN if name == "hybrid" else name][-1]
        figures = {m: round(float(now[m].mean()), 4) for m in ("map@10", "mar@10")}
        line = {
            "variant": name,
            "seed": variant.seed,
            "split": split,
            "s": round(time.monotonic() - start, 1),
        }
        print(json.dumps(line | {"parameters": count(encoder)} | figures), flush=True)

    def scored(self) -> dict[tuple[str, str, str], Judged]:
        """Means over seeds of every picture; the groups of unseen products one after another."""
        out = {}
        for key, parts in self.found.items():
            join = np.concatenate if key[0] == "unseen" else lambda rows: np.mean(rows, 0)
            out[key] = {metric: join([part[metric] for part in parts]) for metric in parts[0]}
        return out


def run(
    config: CaptureConfig,
    weights: Path,
    root: Path,
    runs: Path,
    seeds: list[int],
    names: list[str],
    splits: Sequence[str] = SPLITS,
) -> dict:
    """All rows of all tables, the claims, the detector's quality; also left in `runs/NAME/` as JSON and
    tables.
    """
    corpus = Corpus(config.plan, weights, root, runs)
    return compare(config, corpus, ShippedText(weights / "text.json", threads=1), runs, seeds, names, splits)


def compare(
    config: CaptureConfig,
    corpus: Corpus,
    text: ShippedText,
    runs: Path,
    seeds: list[int],
    names: list[str],
    splits: Sequence[str] = SPLITS,
) -> dict:
    """The same of a corpus, the trained rows on `splits` alone. Seed s leaves out group (s − 1) mod 3, so
    that three seeds ask each product once as an unseen one.
    """
    comparison = Comparison(config, corpus, text, runs)
    weight = comparison.shipped()
    for name in names:
        for seed in seeds:
            for split in splits:
                group = None if split == "val" else (seed - 1) % GROUPS
                comparison.trained(name, replace(variants(config)[name], seed=seed), group)
    scored = comparison.scored()
    results = {
        "pictures": {split: len(next(iter(v.values()))) for (split, _, _), v in scored.items()},
        "weight of words": weight,
        "detector": {name: asked.detector for name, asked in corpus.asked.items()},
        "rows": _rows(scored),
        "claims": _claims(scored),
    }
    folder = runs / config.name
    folder.mkdir(parents=True, exist_ok=True)
    if "hybrid" in names and "val" in splits:
        results["export"] = _export(comparison, folder / "capture.onnx", seeds)
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False))
    (folder / "results.md").write_text(tables(results))
    return results


def _export(comparison: Comparison, path: Path, seeds: list[int]) -> dict:
    """The hybrid with the best recall as ONNX, and how near it comes to torch on true boxes."""
    parts = comparison.found["val", "catalogue", MAIN]
    best = seeds[int(np.argmax([part["mar@10"].mean() for part in parts]))]
    encoder, tokenizer = comparison.encoders["val", best]
    export(encoder, path)
    cuts = comparison.corpus.asked["val"].cuts["true boxes"]
    captions = [comparison.captions["val"][o] for o in cuts.owner]
    return {"seed": best} | parity(encoder, path, cuts.regions, captions, tokenizer)


def _rows(scored: dict[tuple[str, str, str], Judged]) -> dict:
    table: dict = {}
    for (split, gallery, row), judged in scored.items():
        means = {metric: round(float(values.mean()), 4) for metric, values in judged.items()}
        means["mar@10 interval"] = str(bootstrap(judged["mar@10"]))
        means["map@10 interval"] = str(bootstrap(judged["map@10"]))
        table.setdefault(split, {}).setdefault(gallery, {})[row] = means
    return table


def _claims(scored: dict[tuple[str, str, str], Judged]) -> list[dict]:
    out = []
    for split, gallery in dict.fromkeys(key[:2] for key in scored):
        for better, worse in CLAIMS:
            a, b = scored.get((split, gallery, better)), scored.get((split, gallery, worse))
            if a is None or b is None or len(a["mar@10"]) != len(b["mar@10"]):
                continue
            row = {"split": split, "gallery": gallery, "row": better, "over": worse}
            for metric in ("mar@10", "map@10", "map_full@10"):
                row[metric] = str(paired(a[metric], b[metric]))
            out.append(row)
    return out
