//! The places of connections: a limited number in all and for each address, and who gives one up.
//!
//! A connection for whose client the server waits (for a handshake, for a request, for the rest of a body, for the client to
//! read) can lose its place to a new one; a connection whose request is being answered cannot. Clients that hold connections
//! without using them therefore displace each other, and lock nobody out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The places of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    taken: HashMap<u64, Taken>,
    /// Connections of each address, none of them 0.
    of_address: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Taken {
    address: IpAddr,
    progress: Arc<Progress>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All places of the address are at work.
    Address,
    /// All places are at work, or belong to addresses with fewer connections.
    Total,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    number: u64,
    progress: Arc<Progress>,
    /// Whether another connection gave up its place for this one.
    pub(crate) displaced_another: bool,
}

/// What a connection waits for.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<Waiting>,
    displaced: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// The server waits for a handshake or for a whole request since then. `None` while it makes the answer.
    for_request: Option<Instant>,
    /// The client does not read since then.
    for_reading: Option<Instant>,
}

impl Places {
    /// `total` places, of which connections from one address get at most `per_address`. An IPv6 address counts by its first 64
    /// bits, all of which one client commonly has.
    pub(crate) fn new(total: usize, per_address: usize) -> Self {
        Self(Arc::new(Shared { total, per_address, state: Mutex::default() }))
    }

    /// A place for a new connection from `address`; displaces another connection if need be.
    ///
    /// # Errors
    /// When no connection can be displaced.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Place, Full> {
        let address = network_of(address);
        let mut state = self.0.state();
        let own = state.count(address);
        let mut displaced_another = false;
        if own >= self.0.per_address {
            state.displace(|taken, _| taken.address == address).ok_or(Full::Address)?;
            displaced_another = true;
        } else if state.taken.len() >= self.0.total {
            // Never for an address that has more connections already.
            state.displace(|_, count| count >= own).ok_or(Full::Total)?;
            displaced_another = true;
        }
        let number = state.next;
        state.next += 1;
        let progress = Arc::new(Progress::new());
        state.taken.insert(number, Taken { address, progress: Arc::clone(&progress) });
        *state.of_address.entry(address).or_default() += 1;
        drop(state);
        Ok(Place { shared: Arc::clone(&self.0), number, progress, displaced_another })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self, address: IpAddr) -> usize {
        self.of_address.get(&address).copied().unwrap_or_default()
    }

    /// Takes the place of the connection that has waited for its client the longest, among those of the address with the most
    /// connections. `may` says whether a connection, of an address with that many, may lose it.
    fn displace(&mut self, may: impl Fn(&Taken, usize) -> bool) -> Option<()> {
        let waiting = self.taken.iter().filter_map(|(number, taken)| {
            let since = taken.progress.waiting_since()?;
            let count = self.count(taken.address);
            may(taken, count).then_some((count, std::cmp::Reverse((since, *number))))
        });
        let (_, std::cmp::Reverse((_, number))) = waiting.max()?;
        self.remove(number)?.progress.displaced.notify_one();
        Some(())
    }

    fn remove(&mut self, number: u64) -> Option<Taken> {
        let taken = self.taken.remove(&number)?;
        if let Some(count) = self.of_address.get_mut(&taken.address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&taken.address);
            }
        }
        Some(taken)
    }
}

impl Place {
    /// What the connection waits for.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.state().remove(self.number);
    }
}

impl Progress {
    fn new() -> Self {
        let state = Waiting { for_request: Some(Instant::now()), for_reading: None };
        Self { state: Mutex::new(state), displaced: Notify::new() }
    }

    /// The request is there: the server makes the answer.
    pub(crate) fn answering(&self) {
        self.state().for_request = None;
    }

    /// The answer is complete: the server waits for the client to read it, and for the next request.
    pub(crate) fn answered(&self) {
        self.state().for_request = Some(Instant::now());
    }

    /// Whether the server makes an answer.
    pub(crate) fn is_answering(&self) -> bool {
        self.state().for_request.is_none()
    }

    /// The client reads nothing at the moment, or it reads again.
    pub(crate) fn stalled(&self, is_stalled: bool) {
        let mut state = self.state();
        match is_stalled {
            true => _ = state.for_reading.get_or_insert_with(Instant::now),
            false => state.for_reading = None,
        }
    }

    /// Ends when another connection gets the place.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        state.for_request.or(state.for_reading)
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: an IPv4 address, also in its IPv6 form, or the first 64 bits of an IPv6 address.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn later() {
        tokio::time::advance(Duration::from_millis(1)).await;
    }

    async fn is_displaced(place: &Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.progress().displaced()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_waiting_connection_of_a_full_address_gives_way() {
        let places = Places::new(100, 2);
        let first = places.enter(address(1)).unwrap();
        later().await;
        let second = places.enter(address(1)).unwrap();
        let other = places.enter(address(2)).unwrap();
        later().await;
        let third = places.enter(address(1)).unwrap();
        assert!(third.displaced_another && !second.displaced_another);
        assert!(is_displaced(&first).await);
        assert!(!is_displaced(&second).await && !is_displaced(&other).await);
        drop(first);
        assert_eq!(places.0.state().count(address(1)), 2, "a displaced connection counts once");
        second.progress().answering();
        third.progress().answering();
        assert_eq!(places.enter(address(1)).unwrap_err(), Full::Address);
        second.progress().answered();
        assert!(places.enter(address(1)).is_ok());
        assert!(is_displaced(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_many_connections_gives_way_to_one_with_few() {
        let places = Places::new(4, 4);
        let modest = places.enter(address(1)).unwrap();
        later().await;
        let greedy: Vec<_> = [0; 3].map(|_| places.enter(address(2)).unwrap()).into();
        greedy[0].progress().answering();
        let new = places.enter(address(3)).unwrap();
        assert!(is_displaced(&greedy[1]).await && !is_displaced(&modest).await);
        // The address with the most connections displaces only its own.
        let another = places.enter(address(2)).unwrap();
        assert!(is_displaced(&greedy[2]).await);
        another.progress().answering();
        assert_eq!(places.enter(address(2)).unwrap_err(), Full::Total, "others have fewer");
        drop(new);
        assert!(places.enter(address(2)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_gives_way() {
        let places = Places::new(1, 1);
        let place = places.enter(address(1)).unwrap();
        place.progress().answering();
        assert_eq!(places.enter(address(2)).unwrap_err(), Full::Total);
        place.progress().stalled(true);
        place.progress().stalled(false);
        assert_eq!(places.enter(address(2)).unwrap_err(), Full::Total);
        place.progress().stalled(true);
        assert!(places.enter(address(2)).is_ok());
        assert!(is_displaced(&place).await);
    }

    #[tokio::test]
    async fn a_dropped_place_is_free() {
        let places = Places::new(1, 1);
        for _ in 0..3 {
            let place = places.enter(address(1)).unwrap();
            place.progress().answering();
            assert!(places.enter(address(1)).is_err());
        }
        let state = places.0.state();
        assert!(state.taken.is_empty() && state.of_address.is_empty());
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_ipv4_as_ipv4() {
        let parse = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    }
}
