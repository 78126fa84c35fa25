"""The text projection that ships, fitted to the pictures of `image_v1`.

python -m shelfsight_models train configs/text_v1.py --data DIR
"""

from shelfsight_models.train_text import TextConfig

CONFIG = TextConfig(name="text_v1", image="image_v1")
