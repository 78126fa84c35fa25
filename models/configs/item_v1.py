"""ITEm on Grocery: all five objectives on raw patches and weakened texts.

python -m shelfsight_models item configs/item_v1.py --data DIR [--set cells=maps]
"""

from shelfsight_models.item.train import ItemConfig

CONFIG = ItemConfig(name="item_v1")
