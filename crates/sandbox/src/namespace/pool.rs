//! What is made before it is needed, and used once.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// At most so many things in wait, however many threads take and make them.
#[derive(Debug)]
pub(super) struct Pool<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: Vec<T>,
    /// Being made by somebody, who does not hold the lock meanwhile.
    on_the_way: usize,
}

impl<T> Pool<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Mutex::new(Inner { waiting: Vec::new(), on_the_way: 0 }) }
    }

    /// One that waits, if there is one. It is the caller's alone from here on.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().waiting.pop()
    }

    /// Makes what is missing, one after the other, until enough wait or one fails.
    pub(super) fn fill<E>(&self, mut make: impl FnMut() -> Result<T, E>) -> Result<(), E> {
        loop {
            {
                let mut inner = self.lock();
                if inner.waiting.len() + inner.on_the_way >= self.most {
                    return Ok(());
                }
                inner.on_the_way += 1;
            }
            let made = make();
            let mut inner = self.lock();
            inner.on_the_way -= 1;
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
    fn what_is_on_its_way_counts_as_there() {
        let pool = Pool::new(2);
        let mut made = 0;
        pool.fill(|| {
            made += 1;
            // Somebody else comes while this one is being made: one more is missing, not two.
            pool.fill(|| Ok::<_, Infallible>("theirs"))?;
            Ok::<_, Infallible>("ours")
        })
        .unwrap();
        assert_eq!(made, 1);
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken, ["ours", "theirs"]);
    }

    #[test]
    fn a_failure_leaves_room_for_the_next_try() {
        let pool = Pool::new(1);
        assert_eq!(pool.fill(|| Err::<u8, _>("no")), Err("no"));
        assert_eq!(pool.fill(|| Ok::<_, &str>(1)), Ok(()));
        assert_eq!((pool.take(), pool.take()), (Some(1), None));
    }
}
