//! Vectors to codes. Never touches files.
