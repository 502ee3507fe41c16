//! A pool of values that are made in advance and used once.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// At most `most` values, shared by threads that take and make them.
#[derive(Debug)]
pub(super) struct Pool<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: Vec<T>,
    /// Number of values being made, without the lock held.
    being_made: usize,
}

impl<T> Pool<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Mutex::new(Inner { waiting: Vec::new(), being_made: 0 }) }
    }

    /// Removes a value from the pool.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().waiting.pop()
    }

    /// Makes the missing values one by one, until the pool is full or one fails.
    pub(super) fn fill<E>(&self, mut make: impl FnMut() -> Result<T, E>) -> Result<(), E> {
        loop {
            {
                let mut inner = self.lock();
                if inner.waiting.len() + inner.being_made >= self.most {
                    return Ok(());
                }
                inner.being_made += 1;
            }
            let made = make();
            let mut inner = self.lock();
            inner.being_made -= 1;
            inner.waiting.push(made?);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn counts_a_value_that_is_being_made() {
        let pool = Pool::new(2);
        let mut made = 0;
        pool.fill(|| {
            made += 1;
            // Another caller fills the pool while this value is being made: one more is missing, not two.
            pool.fill(|| Ok::<_, Infallible>("theirs"))?;
            Ok::<_, Infallible>("ours")
        })
        .unwrap();
        assert_eq!(made, 1);
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken, ["ours", "theirs"]);
    }

    #[test]
    fn fills_again_after_a_failure() {
        let pool = Pool::new(1);
        assert_eq!(pool.fill(|| Err::<u8, _>("no")), Err("no"));
        assert_eq!(pool.fill(|| Ok::<_, &str>(1)), Ok(()));
        assert_eq!((pool.take(), pool.take()), (Some(1), None));
    }
}
