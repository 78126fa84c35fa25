"""Reranking Transformers (Tan, Yuan and Ordóñez, ICCV 2021): a second look at query and candidate together.

networks → maps (local descriptors of cached views) → pairs (hard negatives from folds that did not see the
product) → train → evaluate (against every simpler way to reorder the same short list).
"""
