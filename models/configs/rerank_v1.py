"""The reranker: two layers over 7×7 cells and a global vector a side.

python -m shelfsight_models rerank configs/rerank_v1.py --data DIR
"""

from shelfsight_models.rerank.train import RerankConfig

CONFIG = RerankConfig(name="rerank_v1", image="image_v2")
