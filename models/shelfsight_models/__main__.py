"""`python -m shelfsight_models COMMAND`: the steps from data to shipped weights. `--help` lists them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .data import DataMissing, data_dir


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 0 on success, 1 on a refused input, 2 on bad usage."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (DataMissing, FileNotFoundError) as error:
        print(f"shelfsight_models: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shelfsight_models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run, about: str, config: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        if config:
            sub.add_argument("config", type=Path, help="configs/NAME.py")
        sub.add_argument("--data", help="data folder (default: SHELFSIGHT_DATA)")
        sub.add_argument("--runs", type=Path, default=Path("runs"), help="where runs and caches are kept")
        sub.add_argument("--minilm", help="folder with MiniLM's model.safetensors and tokenizer.json")
        sub.add_argument("--threads", type=int, default=2, help="torch threads")
        return sub

    command("views", _views, "make the cached views of a config")
    command("train", _train, "train or resume a run")
    cross = command("crossval", _crossval, "products held out of training, by fold")
    cross.add_argument("--folds", default="0,1,2,3,4")
    cross.add_argument(
        "--shares", default="0,0.7", help="lengths of the generic part to try, comma-separated"
    )
    cross.add_argument("--steps", type=int, help="shorter schedule, the same for every recipe compared")
    cross.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field")
    cross.add_argument("--json", action="store_true")

    command("export", _export, "trained runs to float ONNX")
    quantise = command("quantise", _quantise, "float ONNX to the int8 files that ship")
    calibrate = command(
        "calibrate", _calibrate, "fit the score curves on held-out products, write the manifests"
    )
    unseen = command(
        "unseen", _unseen, "`shelfsight eval` on products held out of training, all evidence fused"
    )
    unseen.add_argument("--folds", default="0,1,2,3,4")
    unseen.add_argument("--binary", type=Path, required=True, help="the built `shelfsight` command")
    unseen.add_argument("--out", type=Path, required=True, help="folder for packs and results")
    parity = command("parity", _parity, "float against int8")
    for sub in (quantise, calibrate, parity):
        sub.add_argument("--weights", type=Path, default=Path("weights"))
    parity.add_argument("--binary", type=Path, help="the built `shelfsight`: compare its compiled models too")
    evaluate = command("evaluate", _evaluate, "accuracy of shipped encoders", config=False)
    evaluate.add_argument(
        "--onnx", type=Path, default=Path("weights/image.onnx"), help="its manifest lies beside it"
    )
    evaluate.add_argument("--image-only", action="store_true")
    evaluate.add_argument("--json", action="store_true")
    rerank = command("rerank", _rerank, "reranking of short lists, on products held out of training")
    rerank.add_argument("--folds", default="0,1,2,3,4")
    rerank.add_argument(
        "--ways", default="matches,transformer", help="rows to train, comma-separated, or all"
    )
    rerank.add_argument("--seed", type=int, help="another seed than the config's")
    rerank.add_argument(
        "--ship", type=Path, metavar="JSON", help="write the scorer that ships, measure nothing"
    )
    rerank.add_argument("--binary", type=Path, help="measure packs of this built `shelfsight` instead")
    rerank.add_argument("--out", type=Path, help="with --binary: folder for packs and answers")
    rerank.add_argument("--weights", type=Path, default=Path("weights"))
    rerank.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field")
    item = command("item", _item, "ITEm: one vector of picture and words, against its variants")
    item.add_argument("--ways", default="all", help="variants to train, comma-separated, or all")
    item.add_argument("--seed", type=int, help="another seed than the config's")
    item.add_argument("--weights", type=Path, default=Path("weights"), help="what ships, to compare with")
    item.add_argument("--out", type=Path, help="write `all five` as an encoder for `pack build`")
    item.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field")
    capture = command("capture", _capture, "CAPTURE: several products in one photo, against its variants")
    capture.add_argument("--seeds", default="1,2,3")
    capture.add_argument("--ways", default="all", help="variants to train, comma-separated, all or none")
    capture.add_argument(
        "--splits", default="val,unseen", help="train for all products, for all but a third, or both"
    )
    capture.add_argument("--weights", type=Path, default=Path("weights"))
    ladder = command("eproduct", _eproduct, "the eProduct protocol on a small scale, rung by rung")
    ladder.add_argument("--seeds", default="1,2,3")
    refer = command("reference", _reference, "vectors that other runtimes must reproduce", config=False)
    refer.add_argument("--weights", type=Path, default=Path("weights"))
    return parser


def _minilm(options) -> Path:
    from .text import minilm_folder

    return minilm_folder(options.minilm)


def _config(options):
    import torch

    from .pipeline import load_config

    torch.set_num_threads(options.threads)
    return load_config(options.config)


def _views(options) -> int:
    from .pipeline import image_views, text_views

    config = _config(options)
    views = image_views(config, data_dir(options.data), options.runs)
    text_views(data_dir(options.data), options.runs, _minilm(options))
    print(f"{len(views.product)} views")
    return 0


def _train(options) -> int:
    from .pipeline import load_config, train_image, train_text
    from .train_text import TextConfig

    config = _config(options)
    root = data_dir(options.data)
    if isinstance(config, TextConfig):
        image = load_config(options.config.with_name(f"{config.image}.py"))
        train_text(config, image, root, options.runs, _minilm(options))
    else:
        train_image(config, root, options.runs, _minilm(options))
    return 0


def _export(options) -> int:
    from .release import export_image, export_text

    config = _config(options)
    print(export_image(config, options.runs))
    print(export_text(config, options.runs, _minilm(options)))
    return 0


def _quantise(options) -> int:
    from .release import quantise

    quantise(_config(options), data_dir(options.data), options.runs, options.weights)
    return 0


def _calibrate(options) -> int:
    from .calibrate import calibrate
    from .release import manifests

    config = _config(options)
    found = calibrate(config, data_dir(options.data), options.runs, _minilm(options))
    manifests(config, found, options.weights)
    print(json.dumps(found))
    return 0


def _unseen(options) -> int:
    from .unseen import run

    folds = [int(f) for f in options.folds.split(",")]
    root, minilm = data_dir(options.data), _minilm(options)
    table = run(_config(options), root, options.runs, minilm, folds, options.binary, options.out)
    for name, kinds in table.items():
        for kind, row in kinds.items():
            print(f"{name:10s} {kind:16s} n={row['queries']:4d} R@1 {row['r@1']}")
    return 0


def _parity(options) -> int:
    from .release import check_parity

    where = (data_dir(options.data), options.runs, options.weights)
    print(json.dumps(check_parity(_config(options), *where, options.binary)))
    return 0


def _evaluate(options) -> int:
    from .report import evaluate
    from .shipped import ShippedImage, ShippedText

    manifest = options.onnx.with_name("image.json")
    image = ShippedImage(manifest, options.onnx, options.threads)
    text = (
        None
        if options.image_only
        else ShippedText(options.onnx.with_name("text.json"), threads=options.threads)
    )
    table = evaluate(image, text, data_dir(options.data))
    if options.json:
        print(json.dumps(table))
    else:
        for name, row in table.items():
            print(f"{name:28s} n={row['queries']:5d} R@1 {row['r@1']} R@5 {row['r@5']:.3f}")
    return 0


def _rerank(options) -> int:
    from .pipeline import load_config
    from .rerank import product
    from .rerank.evaluate import recipes, run, scorer_without
    from .rerank.matches import save

    config = _changed(_config(options), options)
    image = load_config(options.config.with_name(f"{config.image}.py"))
    if options.ship:
        save(scorer_without(config, image, data_dir(options.data), options.runs), options.ship)
        return 0
    if options.binary:
        release = load_config(options.config.with_name("release_v2.py"))
        where = (data_dir(options.data), options.runs, options.weights / "image.json")
        options.out.mkdir(parents=True, exist_ok=True)
        for name, row in product.run(config, release, *where, options.binary, options.out).items():
            print(f"{name:30s} n={row['queries']:4d} R@1 {row['r@1']} change {row['difference']}")
        return 0
    folds = [int(f) for f in options.folds.split(",")]
    ways = ["matches", *recipes(config)] if options.ways == "all" else options.ways.split(",")
    for name, rows in run(config, image, data_dir(options.data), options.runs, folds, ways).items():
        print(name)
        for way, row in rows.items():
            print(f"  {way:30s} n={row['queries']:4d} R@1 {row['r@1']} change {row['difference']}")
    return 0


def _item(options) -> int:
    from .item.evaluate import run, variants

    config = _changed(_config(options), options)
    ways = list(variants(config)) if options.ways == "all" else options.ways.split(",")
    where = (data_dir(options.data), options.runs, options.weights)
    for name, row in run(config, *where, ways, options.out).items():
        print(f"{name:44s} " + " ".join(f"{key} {value}" for key, value in row.items()))
    return 0


def _capture(options) -> int:
    from .capture.evaluate import run, variants
    from .capture.report import tables

    config = _config(options)
    ways = list(variants(config)) if options.ways == "all" else options.ways.split(",")
    ways = [way for way in ways if way != "none"]
    seeds = [int(s) for s in options.seeds.split(",")]
    where = (options.weights, data_dir(options.data), options.runs)
    print(tables(run(config, *where, seeds, ways, options.splits.split(","))))
    return 0


def _changed(config, options):
    """The config with `--set` and `--seed`."""
    from dataclasses import replace

    changes = dict(item.split("=", 1) for item in options.set)
    config = replace(config, **{k: type(getattr(config, k))(v) for k, v in changes.items()})
    return config if options.seed is None else replace(config, seed=options.seed)


def _eproduct(options) -> int:
    from .eproduct import LadderConfig, run

    image, root = _config(options), data_dir(options.data)
    seeds = [int(s) for s in options.seeds.split(",")]
    for name, row in run(LadderConfig(), image, root, options.runs, seeds).items():
        print(f"{name:44s} " + " ".join(f"{metric} {value}" for metric, value in row.items()))
    return 0


def _reference(options) -> int:
    from .release import write_reference

    write_reference(options.weights)
    return 0


def _crossval(options) -> int:
    from dataclasses import replace

    from .crossval import run

    config = _config(options)
    changes = dict(item.split("=", 1) for item in options.set)
    typed = {k: v if k == "name" else type(getattr(config, k))(float(v)) for k, v in changes.items()}
    if options.steps:
        typed["steps"] = options.steps
    config = replace(config, **typed)
    folds = [int(f) for f in options.folds.split(",")]
    shares = [float(s) for s in options.shares.split(",")]
    table = run(config, data_dir(options.data), options.runs, _minilm(options), folds, shares)
    if options.json:
        print(json.dumps(table))
        return 0
    for share, rows in table.items():
        print(f"length of the generic part {share}")
        for name, row in rows.items():
            figures = f"ImageNet {row['imagenet']} ours {row['ours']} difference {row['difference']}"
            print(f"  {name:20s} n={row['queries']:5d} {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
