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
    cross.add_argument("--shares", default="1.0", help="shares of tuned weights to try, the rest ImageNet")
    cross.add_argument("--steps", type=int, help="shorter schedule, the same for every recipe compared")
    cross.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field")
    cross.add_argument("--json", action="store_true")
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
    from .pipeline import train_image

    config = _config(options)
    train_image(config, data_dir(options.data), options.runs, _minilm(options))
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
        print(f"share of tuned weights {share}")
        for name, row in rows.items():
            print(
                f"  {name:20s} n={row['queries']:5d} ImageNet {row['imagenet']} ours {row['ours']} diff {row['difference']}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
