//! What tests of both versions of HTTP share: lanes that count requests, and the checks of what the
//! generator does with their responses.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, LoadError, ResponseError, Target, Traffic};

use super::impatient;

pub const BODY: &[u8] = b"Hello, World!";
pub const CONNS: usize = 3;

pub struct Server {
    pub addr: SocketAddr,
    /// Requests received.
    pub requests: Arc<AtomicU64>,
    h2: bool,
}

impl Server {
    /// Runs `handler` for every connection, on a thread of its own.
    pub fn new(h2: bool, handler: impl Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let requests = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (counter, handler) = (Arc::clone(&counter), handler.clone());
                stream.set_nodelay(true).unwrap();
                // Returns an error at the latest when the generator closes the connection.
                thread::spawn(move || handler(&mut stream, &counter));
            }
        });
        Self { addr, requests, h2 }
    }

    pub fn target(&self, pipeline: usize) -> Target {
        target(self.addr, pipeline, self.h2)
    }
}

/// Serves one connection, and counts its requests.
pub trait Handler:
    Fn(&mut TcpStream, &AtomicU64) -> io::Result<()> + Clone + Send + 'static
{
}

impl<T: Fn(&mut TcpStream, &AtomicU64) -> io::Result<()> + Clone + Send + 'static> Handler for T {}

pub fn target(addr: SocketAddr, pipeline: usize, h2: bool) -> Target {
    let (path, content_type) = ("/plaintext", "text/plain");
    let http = Http { path, content_type, body: BODY, pipeline, h2 };
    Target { addrs: [addr].into(), size: BODY.len(), conns: CONNS, traffic: Traffic::Http(http) }
}

/// The error that the generator returns for a lane whose response to request 5 is wrong, and right
/// before. It must be the same error with and without pipelining.
pub fn verify_error(serve: impl Fn() -> Server) -> LoadError {
    let [single, pipelined] = [1, 8].map(|pipeline| {
        let server = serve();
        let generator = impatient();
        let mut session = generator.connect(server.target(pipeline)).unwrap();
        let error = generator.verify(&mut session, 100).unwrap_err();
        assert!(!session.is_open());
        error
    });
    assert_eq!(
        std::mem::discriminant(&single),
        std::mem::discriminant(&pipelined),
        "{single}; {pipelined}"
    );
    single
}

/// The same, if the response to request 5 is wrong.
pub fn response_error(serve: impl Fn() -> Server) -> ResponseError {
    let error = verify_error(serve);
    assert!(error.is_wrong_answer(), "{error}");
    match error {
        LoadError::Answer { message: 5, source, .. } => *source,
        error => panic!("{error}"),
    }
}

/// Connects, verifies and measures a lane whose responses are right, and compares the counts with
/// those of the lane.
pub fn assert_exchanges(generator: &Generator, serve: impl Fn() -> Server) {
    for pipeline in [1, 4, 16] {
        let server = serve();
        let requests = || server.requests.load(Ordering::SeqCst);
        let mut session = generator.connect(server.target(pipeline)).unwrap();
        assert_eq!(requests(), CONNS as u64);
        generator.verify(&mut session, 10).unwrap();
        assert_eq!(requests(), 11 * CONNS as u64);
        let window = Duration::from_millis(20);
        let slice = generator.slice(&mut session, Duration::ZERO, window, || ()).unwrap();
        assert_eq!(slice.latency.len(), slice.ops, "each operation has a latency");
        let before = requests();
        assert!(before >= 11 * CONNS as u64 + slice.ops);
        generator.verify(&mut session, 1).unwrap();
        assert_eq!(requests(), before + CONNS as u64);
    }
}
