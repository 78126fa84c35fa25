"""The class-agnostic product detector: composite scenes → training → ONNX → int8 → evaluation.

Reading order: `packages` draws one product, `cutouts` cuts real ones out of photos, `scenes` arranges both
into a picture with boxes, `dataset` caches scenes on disk and augments them, `net` and `targets` are the
CenterNet-style network and its encoding, `train` fits it, `export` ships it, `evaluate` measures it.
"""
