//! A TCP listener that another box could reach if boxes were not isolated from each other.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// Shortest time of listening: until boxes that started at the same time have made their attempts.
const LISTEN: Duration = Duration::from_secs(3);

/// Bytes read from a connection.
const TAKEN: u64 = 4096;

/// Listens until it is dropped, for at least [`LISTEN`].
pub(crate) struct Listener {
    opened: Instant,
}

impl Listener {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let _ = stream.set_read_timeout(Some(LISTEN));
                let _ = stream.take(TAKEN).read_to_end(&mut Vec::new());
            }
        });
        Ok(Self { opened: Instant::now() })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        thread::sleep(LISTEN.saturating_sub(self.opened.elapsed()));
    }
}
