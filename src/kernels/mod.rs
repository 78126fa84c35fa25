//! Numeric inner loops behind one choice made at run time. Imports only `core::arch`.
