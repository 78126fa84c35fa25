"""The image encoder that ships.

python -m shelfsight_models train configs/image_v1.py --data DIR
"""

from shelfsight_models.train_image import ImageConfig

CONFIG = ImageConfig(name="image_v1")
