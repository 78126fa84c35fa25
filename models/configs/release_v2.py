"""The shipped pair: `image_v2` and `text_v2`, quantised, calibrated on held-out products.

python -m shelfsight_models export configs/release_v2.py
python -m shelfsight_models quantise configs/release_v2.py --data DIR
python -m shelfsight_models calibrate configs/release_v2.py --data DIR
python -m shelfsight_models parity configs/release_v2.py --data DIR
python -m shelfsight_models reference
"""

from pathlib import Path

from shelfsight_models.pipeline import load_config
from shelfsight_models.release import ReleaseConfig
from shelfsight_models.rerank.matches import KEPT

HERE = Path(__file__).parent
CONFIG = ReleaseConfig(
    image=load_config(HERE / "image_v2.py"),
    text_config=load_config(HERE / "text_v2.py"),
    cross="image_v2",
    cells=KEPT,
)
