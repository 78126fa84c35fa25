//! Where the products are: a class-agnostic detector and non-maximum suppression.
