//! What holds for requests whatever the version of HTTP: lanes that count them, and what the generator makes
//! of their answers.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, LoadError, Target, Traffic};

use super::impatient;

pub const BODY: &[u8] = b"Hello, World!";
pub const CONNS: usize = 3;

pub struct Server {
    pub addr: SocketAddr,
    /// Requests that have come in.
    pub asked: Arc<AtomicU64>,
    h2: bool,
}

impl Server {
    /// Talks like that on every connection, on a thread of its own, until the generator closes it.
    pub fn new(h2: bool, talk: impl Talk) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::<AtomicU64>::default();
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, count, talk) = (stream.unwrap(), Arc::clone(&count), talk.clone());
                stream.set_nodelay(true).unwrap();
                // Ends by an error at the latest when the generator closes.
                thread::spawn(move || talk(&mut stream, &count));
            }
        });
        Self { addr, asked, h2 }
    }

    pub fn target(&self, pipeline: usize) -> Target {
        target(self.addr, pipeline, self.h2)
    }
}

pub trait Talk: Fn(&mut TcpStream, &AtomicU64) -> io::Result<()> + Clone + Send + 'static {}

impl<T: Fn(&mut TcpStream, &AtomicU64) -> io::Result<()> + Clone + Send + 'static> Talk for T {}

pub fn target(addr: SocketAddr, pipeline: usize, h2: bool) -> Target {
    let (path, content_type) = ("/plaintext", "text/plain");
    let http = Http { path, content_type, body: BODY, pipeline, h2 };
    Target { addr, size: BODY.len(), conns: CONNS, traffic: Traffic::Http(http) }
}

/// What the generator makes of a lane whose answer to request 5 is wrong, those before having been right. With
/// batches too.
pub fn found(serve: impl Fn() -> Server) -> LoadError {
    let [one, batch] = [1, 8].map(|pipeline| {
        let server = serve();
        let generator = impatient();
        let mut session = generator.connect(server.target(pipeline)).unwrap();
        let error = generator.verify(&mut session, 100).unwrap_err();
        assert!(!session.is_open());
        error
    });
    assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&batch), "{one}; {batch}");
    one
}

/// As it is told, if it is the answer that is wrong.
pub fn wrong(serve: impl Fn() -> Server) -> String {
    let error = found(serve);
    assert!(matches!(error, LoadError::Answer { message: 5, .. }), "{error}");
    assert!(error.is_wrong_answer());
    error.to_string()
}

/// Goes through all that the generator does with a lane whose answers are right.
pub fn exchange_all(generator: &Generator, serve: impl Fn() -> Server) {
    for pipeline in [1, 4, 16] {
        let server = serve();
        let asked = || server.asked.load(Ordering::SeqCst);
        let mut session = generator.connect(server.target(pipeline)).unwrap();
        assert_eq!(asked(), CONNS as u64);
        generator.verify(&mut session, 10).unwrap();
        assert_eq!(asked(), 11 * CONNS as u64, "not one more than asked for");
        let window = Duration::from_millis(20);
        let slice = generator.slice(&mut session, Duration::ZERO, window, || ()).unwrap();
        assert_eq!(slice.latency.len(), slice.ops, "each has a latency");
        let before = asked();
        assert!(before >= 11 * CONNS as u64 + slice.ops);
        generator.verify(&mut session, 1).unwrap();
        assert_eq!(asked(), before + CONNS as u64);
    }
}
