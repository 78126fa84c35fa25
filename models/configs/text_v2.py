"""The text projection that ships, fitted to the pictures of `image_v2`.

python -m shelfsight_models train configs/text_v2.py --data DIR

Runs for a minute, most of it embedding the training pictures. Expect a text loss of about 0.39 and a geometry
loss (mean squared change of a cosine) of about 0.0005.
"""

from shelfsight_models.train_text import TextConfig

CONFIG = TextConfig(name="text_v2", image="image_v2")
