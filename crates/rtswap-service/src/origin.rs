//! The HTTPS server that images are downloaded from.
//!
//! `GET /SIZE-NUMBER` is answered with [`content(SIZE, NUMBER)`](rtswap_workload::content), for any size
//! up to [`LARGEST_BYTES`]. It speaks HTTP/1.1 with keep-alive over TLS 1.3, with a thread for each
//! connection and no async runtime, so that it is nobody's contestant.
//!
//! It hands out no session tickets: whoever connects does a whole handshake, whatever its TLS library
//! keeps. The lanes that ship connect once, before they are ready, and so outside of what is timed.
//!
//! With [`Options::faults`] it also answers below two folders that are no ordinary part of it:
//! `/short/SIZE-NUMBER` announces all of the body, sends half and closes; `/stall/SIZE-NUMBER` sends
//! half and then nothing until the client leaves. A program whose origin is `https://…/short` so meets
//! a server that fails, without knowing of it.

mod accept;
mod certificate;
mod connection;
mod request;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rtswap_workload::{ParamValue, Resources};
use tempfile::NamedTempFile;

use crate::{Missing, Service};
use accept::Accept;

/// The largest image, in bytes.
pub const LARGEST_BYTES: usize = 16 << 20;

/// The most connections of an origin that a run starts. Each is a thread.
const MOST_CONNECTIONS: usize = 1024;

/// How an origin is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The CPUs that its threads may use; none for all.
    pub cpus: Vec<usize>,
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Where its root certificate is written; otherwise to a file that goes with it.
    pub root: Option<PathBuf>,
    /// The most connections; one more is closed at once.
    pub connections: usize,
    /// Whether `/short/…` and `/stall/…` are there.
    pub faults: bool,
}

impl Default for Options {
    /// A free port of 127.0.0.1, on any CPU.
    fn default() -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { cpus: Vec::new(), addr, root: None, connections: MOST_CONNECTIONS, faults: false }
    }
}

/// The server. It ends when it is dropped, with all of its threads.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    root: Root,
    served: Arc<Served>,
    _accept: Accept,
}

#[derive(Debug)]
enum Root {
    Kept(PathBuf),
    Temporary(NamedTempFile),
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(file) => file.path(),
        }
    }
}

impl Origin {
    /// Makes a certificate and serves.
    ///
    /// # Errors
    /// If the address cannot be had, or the root certificate cannot be written, in a line.
    pub fn start(options: &Options) -> Result<Self, String> {
        let made = certificate::make(options.addr.ip())
            .map_err(|error| format!("cannot make a certificate: {error}"))?;
        let root = write(&made.root_pem, options.root.as_deref())?;
        let served = Arc::new(Served::default());
        let site = connection::Site {
            tls: Arc::new(made.tls),
            served: Arc::clone(&served),
            faults: options.faults,
        };
        let accept = Accept::start(options, site)
            .map_err(|error| format!("cannot serve on {}: {error}", options.addr))?;
        Ok(Self { addr: accept.addr(), root, served, _accept: accept })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Where its root certificate is, as PEM.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Images that were served in full since the last [`check`](Service::check).
    pub fn served(&self) -> u64 {
        self.served.of(None)
    }
}

fn write(pem: &str, to: Option<&Path>) -> Result<Root, String> {
    let root = if let Some(path) = to {
        Root::Kept(path.to_owned())
    } else {
        let file = tempfile::Builder::new().prefix("rtswap-root-").suffix(".pem").tempfile();
        Root::Temporary(file.map_err(|error| crate::folder::cannot("file", &error))?)
    };
    let path = root.path();
    std::fs::write(path, pem)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(root)
}

impl Service for Origin {
    fn resources(&mut self, _lane: &str) -> Result<Resources, String> {
        let root = self.root().to_str();
        let root = root.ok_or("the folder for temporary files has a name that is no text")?;
        let given = [("origin", self.url()), ("origin-root", root.to_owned())];
        Ok(given.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// A lane cannot have downloaded what was not served. What it did while it warmed up has been served,
    /// too, so that a lie as small as that goes through here.
    fn check(
        &mut self,
        _lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), String> {
        let size = params.get("size").and_then(ParamValue::number);
        let served = self.served.of(size);
        self.served.forget();
        if ops > served {
            let of = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
            return Err(format!(
                "it claims {ops} downloads, and the origin has served {served} images{of}"
            ));
        }
        Ok(())
    }
}

/// How many images were served in full, by their size. One lane works at a time, so all are its own.
#[derive(Debug, Default)]
struct Served(Mutex<BTreeMap<usize, u64>>);

impl Served {
    fn count(&self, size: usize) {
        *self.sizes().entry(size).or_default() += 1;
    }

    /// It was counted too soon.
    fn uncount(&self, size: usize) {
        if let Some(served) = self.sizes().get_mut(&size) {
            *served = served.saturating_sub(1);
        }
    }

    fn of(&self, size: Option<u64>) -> u64 {
        let sizes = self.sizes();
        let counted = sizes.iter().filter(|(of, _)| size.is_none_or(|size| size == **of as u64));
        counted.map(|(_, served)| served).sum()
    }

    fn forget(&self) {
        self.sizes().clear();
    }

    fn sizes(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a run: on the CPUs of the load generator, and without anything that fails.
pub(crate) fn start(cpus: &[usize]) -> Result<Origin, Missing> {
    let options = Options { cpus: cpus.to_owned(), ..Options::default() };
    Origin::start(&options).map_err(|error| Missing::Failed(format!("the origin: {error}")))
}

/// A kernel's error with a word on what was tried.
fn because(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}
