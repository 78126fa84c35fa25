"""ITEm, an image-text encoder without regions: one transformer over words and picture cells, one vector.

networks (encoder and heads) → objectives (the five losses) → data (weakened texts, masks, mismatches) →
train → evaluate (photo, words or both, against single modalities and late fusion) → probes (what the
global vector alone knows, and how much it leans on each modality). The paper's body was not reachable;
what its abstract does not settle is our reading.
"""
