"""CAPTURE (Zhan et al., Product1M, ICCV 2021): photos of several products, each box asked with the caption.

composites (pasted pictures whose boxes are known) → regions (what the shipped encoder sees of a crop) → data
(weakened captions, batches) → networks (hybrid stream, two streams, one) → objectives (MLM, MRM, CLR) →
train → metrics → queries (what is asked: whole pictures, windows, boxes) → evaluate → export.
"""
