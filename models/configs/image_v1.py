"""The image encoder that ships.

python -m shelfsight_models train configs/image_v1.py --data DIR

Expect a loss of about 3.4 at the last of 420 steps (proxy 1.7, contrast 1.0, teacher 0.34, text 0.32).
"""

from shelfsight_models.train_image import ImageConfig

CONFIG = ImageConfig(name="image_v1")
