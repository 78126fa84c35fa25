"""Average precision and recall of a detector on scenes and labelled photos, float or int8.

python -m shelfsight_models.detector.evaluate --model weights/detector.json [--cache DIR] [--data DIR]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from .dataset import Samples
from .net import Detector
from .targets import decode, iou, overlap

Outputs = tuple[np.ndarray, np.ndarray, np.ndarray]
Runner = Callable[[np.ndarray], Outputs]


def to_input(square: np.ndarray) -> np.ndarray:
    """`uint8 [S, S, 3]` to `float32 [1, 3, S, S]`."""
    return ((square.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]


def run_torch(model: Detector) -> Runner:
    """A torch model as a function from a square picture to heatmap, size and offset, no batch axis."""
    model.eval()

    def run(square: np.ndarray) -> Outputs:
        with torch.no_grad():
            return tuple(t[0].float().numpy() for t in model(torch.from_numpy(to_input(square))))

    return run


def run_onnx(path: Path, threads: int = 1) -> Runner:
    """The same from an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(square: np.ndarray) -> Outputs:
        return tuple(t[0] for t in session.run(["heatmap", "size", "offset"], {"image": to_input(square)}))

    return run


def match(boxes: np.ndarray, truth: np.ndarray, ignore: np.ndarray, need: float) -> np.ndarray:
    """For detections best first: 1 hit, 0 false, -1 neither (mostly inside an ignored region).

    Each true box counts once.
    """
    result = np.zeros(len(boxes), int)
    overlaps, free = iou(boxes, truth), np.ones(len(truth), bool)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    hidden = (overlap(boxes, ignore) / np.maximum(area[:, None], 1e-9)).max(1, initial=0) > 0.5
    for i in range(len(boxes)):
        best = int(np.argmax(np.where(free, overlaps[i], -1))) if len(truth) else -1
        if best >= 0 and free[best] and overlaps[i, best] >= need:
            result[i], free[best] = 1, False
        elif hidden[i]:
            result[i] = -1
    return result


def average_precision(scores: np.ndarray, hits: np.ndarray, total: int) -> float:
    """Area under the precision-recall curve, precision made monotone (all-point interpolation)."""
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(hits[order])
    recall, precision = tp / max(total, 1), tp / np.arange(1, len(tp) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def predict(run: Runner, samples: Samples) -> list[tuple[Outputs, np.ndarray, np.ndarray]]:
    """Network outputs, true boxes and ignored regions of every picture."""
    rows = []
    for i in range(len(samples)):
        square, truth, ignore = samples.plain(i)
        rows.append((run(square), truth, ignore))
    return rows


def detections(predicted: list[tuple], nms_iou: float, floor: float = 0.05) -> list[tuple]:
    """Boxes, scores, true boxes and ignored regions of every picture."""
    return [(*decode(*outputs, floor, nms_iou), truth, ignore) for outputs, truth, ignore in predicted]


def measure(rows: list[tuple], score: float = 0.3, need: float = 0.5) -> dict[str, float]:
    """AP over all scores; recall, precision and F1 of what scores at least `score`."""
    scores, hits, total = [], [], 0
    if not rows:
        raise ValueError("no pictures to measure on")
    for boxes, score_, truth, ignore in rows:
        result = match(boxes, truth, ignore, need)
        scores.append(score_[result >= 0])
        hits.append(result[result >= 0])
        total += len(truth)
    scores, hits = np.concatenate(scores), np.concatenate(hits)
    taken = hits[scores >= score]
    recall, precision = taken.sum() / max(total, 1), taken.sum() / max(len(taken), 1)
    return {
        "ap50": round(average_precision(scores, hits, total), 4),
        "recall": round(float(recall), 4),
        "precision": round(float(precision), 4),
        "f1": round(float(2 * recall * precision / max(recall + precision, 1e-9)), 4),
        "boxes": total,
    }


def evaluate(run: Runner, samples: Samples, score: float = 0.3, nms_iou: float = 0.5) -> dict[str, float]:
    """`measure` of a model on a set."""
    return measure(detections(predict(run, samples), nms_iou), score)


def choose(rows_by_nms: dict[float, list[list[tuple]]]) -> tuple[float, float, float]:
    """The `(nms_iou, score_threshold, F1)` with the best F1, averaged over the sets."""
    best = (0.5, 0.3, -1.0)
    for nms_iou, sets in rows_by_nms.items():
        for score in np.arange(0.2, 0.56, 0.05):
            f1 = float(np.mean([measure(rows, score)["f1"] for rows in sets]))
            if f1 > best[2]:
                best = (nms_iou, round(float(score), 2), f1)
    return best


def annotate(square: np.ndarray, boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Detections (green) over labels (white) on a copy of the picture, to look at."""
    out = square.copy()
    for x0, y0, x1, y1 in truth.astype(int):
        cv2.rectangle(out, (x0, y0), (x1, y1), (255, 255, 255), 1)
    for (x0, y0, x1, y1), score in zip(boxes.astype(int), scores, strict=True):
        cv2.rectangle(out, (x0, y0), (x1, y1), (0, 220, 0), 1)
        cv2.putText(out, f"{score:.2f}"[1:], (x0 + 1, y0 + 9), 0, 0.3, (255, 255, 0), 1, cv2.LINE_AA)
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure a detector")
    parser.add_argument(
        "--model", type=Path, required=True, help="manifest, beside the ONNX file that it names"
    )
    parser.add_argument(
        "--onnx", type=Path, help="another ONNX file with the same manifest, as the float one"
    )
    parser.add_argument("--cache", type=Path, help="scenes drawn by `dataset`")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SHELFSIGHT_DATA") or None, help="labelled real photos"
    )
    parser.add_argument("--draw", type=Path, help="folder for annotated pictures")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    manifest = json.loads(args.model.read_text())
    run = run_onnx(args.onnx or args.model.parent / manifest["model"])
    size, score, nms_iou = manifest["preprocess"]["width"], manifest["score_threshold"], manifest["nms_iou"]
    sets = {}
    if args.cache:
        sets["scenes"] = Samples(size).add_cache(args.cache)
    if args.data:
        sets["real"] = Samples(size).add_labelled(Path(args.data), True)
    if not sets:
        parser.error("nothing to measure on: pass --cache or --data, or set SHELFSIGHT_DATA")
    for name, samples in sets.items():
        rows = detections(predict(run, samples), nms_iou)
        print(json.dumps({"set": name, "pictures": len(samples), "score": score, **measure(rows, score)}))
        if args.draw:
            args.draw.mkdir(parents=True, exist_ok=True)
            for i, (boxes, scores, truth, _) in enumerate(rows):
                sure = scores >= score
                picture = annotate(samples.plain(i)[0], boxes[sure], scores[sure], truth)
                cv2.imwrite(str(args.draw / f"{name}_{i:04d}.png"), picture[..., ::-1])


if __name__ == "__main__":
    main()
