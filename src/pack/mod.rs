//! One file, memory-mapped: bytes in, views out. Knows no quantizer maths.
