"""ITEm on Grocery: all five objectives on raw patches and weakened texts, small enough for two slow cores.

python -m shelfsight_models item configs/item_v1.py --data DIR [--seed S] [--set cells=maps] [--out DIR]
"""

from shelfsight_models.item.networks import Shape
from shelfsight_models.item.train import ItemConfig

SHAPE = Shape(width=64, layers=3, heads=4, hidden=256)
CONFIG = ItemConfig(name="item_v1", shape=SHAPE, steps=2000, batch=64)
