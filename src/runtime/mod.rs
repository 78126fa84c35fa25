//! Neural networks behind one small trait, [`Model`]. Imports only `kernels`.
