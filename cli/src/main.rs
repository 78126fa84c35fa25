//! The `shelfsight` command.

fn main() {}
