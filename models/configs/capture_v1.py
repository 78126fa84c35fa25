"""CAPTURE on pasted pictures of Grocery products: five variants, three seeds, seen and left-out products.

python -m shelfsight_models capture configs/capture_v1.py --data DIR --runs DIR [--seeds 1,2,3]

Catalogue of 81, detected boxes, mAR@10: shipped vector .830, with words .869, hybrid .534 (three seeds);
products left out of training .834, .868, .661. The tables: docs/capture.md.
"""

from shelfsight_models.capture.train import CaptureConfig

CONFIG = CaptureConfig(name="capture_v1")
