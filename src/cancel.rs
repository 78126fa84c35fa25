//! Stops work that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that one thread raises and the work of another looks at, between the steps of a network, between boxes and
/// between places for barcodes. Clones share the flag.
///
/// ```
/// let cancel = shelfsight::Cancel::new();
/// let given_to_a_query = cancel.clone();
/// cancel.cancel();
/// assert!(given_to_a_query.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag for good: what runs under it ends with an error within milliseconds, and what starts under it
    /// at once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether there is a raised flag.
pub(crate) fn cancelled(cancel: Option<&Cancel>) -> bool {
    cancel.is_some_and(Cancel::is_cancelled)
}
