use super::*;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 4,
    per_address: 4,
    read_timeout: Duration::from_secs(60),
    send_buffer: None,
};

struct Running {
    address: SocketAddr,
    handle: Handle,
    server: tokio::task::JoinHandle<Result<(), ServerError>>,
}

fn start(routes: Router, limits: ConnectionLimits) -> Running {
    let server = Server::listen("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let (address, handle) = (server.local(), Handle::new());
    Running { address, server: tokio::spawn(server.serve(routes, None, handle.clone())), handle }
}

impl Running {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

/// What the server sends until it closes the connection.
async fn all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }).post(|body: String| async { body }))
}

const ONCE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn connections_that_send_nothing_lock_no_client_out() {
    let running = start(hello(), LIMITS);
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(running.send("GET / HT").await);
        assert!(all(running.send(ONCE).await).await.ends_with("hello"));
    }
    let body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc";
    for _ in 0..50 {
        idle.push(running.send(body).await);
        assert!(all(running.send(ONCE).await).await.ends_with("hello"));
    }
    assert!(running.handle.connection_count() <= 5);
}

#[tokio::test]
async fn requests_in_flight_keep_their_places() {
    let free = Arc::new(tokio::sync::Semaphore::new(0));
    let wait = Arc::clone(&free);
    let (began, mut begun) = mpsc::unbounded_channel();
    let routes = Router::new().route(
        "/",
        get(move || async move {
            began.send(()).unwrap();
            wait.acquire().await.unwrap().forget();
            "waited"
        }),
    );
    let running = start(routes, LIMITS);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(running.send(ONCE).await);
    }
    for _ in 0..4 {
        begun.recv().await.unwrap();
    }
    assert_eq!(all(running.send(ONCE).await).await, "", "there is no place for a fifth");
    free.add_permits(4);
    for stream in waiting {
        assert!(all(stream).await.ends_with("waited"));
    }
}

#[tokio::test]
async fn a_hang_up_behind_a_pipelined_byte_ends_the_request() {
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let (began, mut begun) = mpsc::unbounded_channel();
    let routes = Router::new().route(
        "/",
        post(move |_: String| async move {
            let _dropped = Dropped(dropped);
            began.send(()).unwrap();
            std::future::pending::<()>().await;
        }),
    );
    let running = start(routes, LIMITS);
    let stream = running.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiG").await;
    begun.recv().await.unwrap();
    drop(stream);
    drops.recv().await.unwrap();
}

#[tokio::test]
async fn ambiguous_requests_get_400_and_no_route_sees_them() {
    let (seen, mut sights) = mpsc::unbounded_channel();
    let routes = Router::new().fallback(move |request: Request<Body>| async move {
        seen.send(request.uri().to_string()).unwrap();
        "seen"
    });
    let running = start(routes, LIMITS);
    for request in [
        "GET /a HTTP/1.1\nHost: x\n\n",
        "GET /b HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /c HTTP/1.1\r\n\r\n",
        "POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ] {
        let answer = all(running.send(request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer:?}");
    }
    let two = running.send("GET /good HTTP/1.1\r\nHost: x\r\n\r\nGET /bad HTTP/1.1\nHost: x\r\n\r\n").await;
    let answers = all(two).await;
    assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains("HTTP/1.1 400 "), "{answers}");
    running.handle.shutdown();
    running.server.await.unwrap().unwrap();
    let mut all_seen = Vec::new();
    while let Some(uri) = sights.recv().await {
        all_seen.push(uri);
    }
    assert_eq!(all_seen, ["/good"]);
}

#[tokio::test]
async fn finishes_requests_in_flight_and_ends_at_once_when_asked_again() {
    let free = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&free);
    let (began, mut begun) = mpsc::unbounded_channel();
    let routes = Router::new().route(
        "/",
        get(move || async move {
            began.send(()).unwrap();
            wait.notified().await;
            "done"
        }),
    );
    let running = start(routes, LIMITS);
    let idle = TcpStream::connect(running.address).await.unwrap();
    let stream = running.send(ONCE).await;
    begun.recv().await.unwrap();
    running.handle.graceful_shutdown(Duration::from_secs(60));
    assert_eq!(all(idle).await, "");
    assert!(TcpStream::connect(running.address).await.is_err());
    assert!(!running.server.is_finished());
    free.notify_one();
    assert!(all(stream).await.ends_with("done"));
    running.server.await.unwrap().unwrap();

    let running = start(Router::new().route("/", get(std::future::pending::<()>)), LIMITS);
    let stream = running.send(ONCE).await;
    while running.handle.connection_count() < 1 {
        tokio::task::yield_now().await;
    }
    running.handle.graceful_shutdown(Duration::from_secs(600));
    running.handle.shutdown();
    running.server.await.unwrap().unwrap();
    assert_eq!(all(stream).await, "");
}
