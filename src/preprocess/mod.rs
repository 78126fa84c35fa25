//! Pixels to tensors: decode, colour conversion, crop, resize, normalise. Imports only `frame` and `geometry`.
