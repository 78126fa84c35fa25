"""CAPTURE on pasted pictures of Grocery products: five variants, three seeds, seen and left-out products.

python -m shelfsight_models capture configs/capture_v1.py --data DIR --runs DIR [--seeds 1,2,3]
"""

from shelfsight_models.capture.train import CaptureConfig

CONFIG = CaptureConfig(name="capture_v1")
