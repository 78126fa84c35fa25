//! Catalogue to pack: read, embed, train, assemble, check.
