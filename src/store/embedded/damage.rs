//! One damaged place must not hold up what lies elsewhere: whoever goes through many tells of it, and goes on.

use super::StoreError;

/// What was read about the entry at `index`; `None` where its bytes are damaged. That they could not be read this time is no
/// damage, and stays an error.
pub(super) fn unless_damaged<T>(
    index: u64,
    what: &'static str,
    read: Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Corrupt(why)) => {
            tell(index, what, &why);
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Tells, in the log and as a metric, that what belongs to the entry at `index` is damaged.
pub(super) fn tell(index: u64, what: &'static str, why: &str) {
    tracing::error!(index, what, why, "what is stored is damaged: it is left out");
    metrics::counter!("waybill_store_damaged_total", "what" => what).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_damaged_is_left_out() {
        assert_eq!(unless_damaged(1, "it", Ok(7)).unwrap(), Some(7));
        assert_eq!(unless_damaged(1, "it", Err::<(), _>(StoreError::Corrupt(String::new()))).unwrap(), None);
        for error in [StoreError::Read(String::new()), StoreError::Fatal(String::new())] {
            assert!(unless_damaged(1, "it", Err::<(), _>(error)).is_err());
        }
    }
}
