"""The image encoder that ships.

python -m shelfsight_models train configs/image_v2.py --data DIR

Blocks 5 to 15 and the head learn; the first five stay as ImageNet left them, quantised. Expect a loss of
about 2.2 at the last of 1,200 steps (proxy 0.8, contrast 0.8, teacher 0.35, text 0.21). 40 minutes on two
idle cores with bf16 matrix units, after an hour for the views.
"""

from shelfsight_models.train_image import ImageConfig
from shelfsight_models.views import ViewPlan

CONFIG = ImageConfig(name="image_v2", views=ViewPlan(cut=5), tune_from=5, steps=1200)
