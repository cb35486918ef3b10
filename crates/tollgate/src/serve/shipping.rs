//! From the journal into the store, while the process runs and at its end.

/// The shipper's state, for those who show it.
#[derive(Debug, Default)]
pub(crate) struct Shipping;

impl Shipping {
    /// Bytes that are not yet in the store, and the age of the oldest in milliseconds.
    pub(crate) fn lag(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Why nothing can be shipped at the moment.
    pub(crate) fn problem(&self) -> Option<String> {
        None
    }
}
