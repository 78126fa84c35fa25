"""The detector that ships.

python -m shelfsight_models.detector.train --config configs/detector_v1.py --trunk ssd.onnx \
    --scenes scenes/a scenes/b --check scenes/val --work runs/detector_v1 --workers 3

The trunk stays as it comes; only the pyramid and the heads are trained, in 640 steps of 16 pictures. Result,
int8, at 320: AP .517 on drawn scenes, .595 on real photos. `docs/detector.md` has the caches, the export and
how the shipped run differed.
"""

from shelfsight_models.detector.train import DetectorConfig

CONFIG = DetectorConfig(
    frozen=17,
    steps=640,
    decay=140,
    warmup=30,
    batch=16,
    lr=2.5e-3,
    real_share=0.2,
    validate_every=100,
    seed=3,
)
