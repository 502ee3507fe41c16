//! Clients that take connections of a server and hardly use them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections of one thread.
const EACH: usize = 50;

/// Pause between two bytes of one connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Many slow clients, until it is dropped. They send one byte now and then, and connect again when the server closes a
/// connection.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Holds `sockets` connections to `server`. Each connection begins with one of `beginnings`, in turn; the rest of its
    /// request never comes.
    pub fn start(server: SocketAddr, sockets: usize, beginnings: &[&str]) -> Self {
        let (stop, opened) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let starts: Vec<usize> = (0..sockets).step_by(EACH).collect();
        let thread = |start: usize| {
            let (stop, opened) = (Arc::clone(&stop), Arc::clone(&opened));
            let numbers = start..sockets.min(start + EACH);
            let own: Vec<String> = numbers.map(|n| beginnings[n % beginnings.len()].to_owned()).collect();
            std::thread::spawn(move || {
                let mut streams: Vec<Option<TcpStream>> = own.iter().map(|_| None).collect();
                while !stop.load(Ordering::Relaxed) {
                    for (stream, beginning) in streams.iter_mut().zip(&own) {
                        if !stream.as_mut().is_some_and(goes_on) {
                            *stream = connect(server, beginning);
                            opened.fetch_add(usize::from(stream.is_some()), Ordering::Relaxed);
                        }
                    }
                    std::thread::sleep(PAUSE);
                }
            })
        };
        let threads = starts.into_iter().map(thread).collect();
        let this = Self { stop, opened, threads };
        while this.opened() < sockets {
            std::thread::sleep(PAUSE);
        }
        this
    }

    /// Connections that were opened so far.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn connect(server: SocketAddr, beginning: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_nonblocking(true).ok()?;
    let _ = stream.write_all(beginning.as_bytes());
    Some(stream)
}

/// Sends one more byte; false if the server has closed the connection.
fn goes_on(stream: &mut TcpStream) -> bool {
    let would_block = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    let is_open = match stream.read(&mut [0; 512]) {
        Ok(read) => read > 0,
        Err(error) => would_block(&error),
    };
    is_open && stream.write(b"x").map_or_else(|error| would_block(&error), |_| true)
}
