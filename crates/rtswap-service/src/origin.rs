//! The HTTPS server that images are downloaded from.
//!
//! `GET /SIZE-NUMBER` returns [`content(SIZE, NUMBER)`](rtswap_workload::content), for any size up to
//! [`LARGEST_BYTES`]. The server speaks HTTP/1.1 with keep-alive over TLS, with a thread for each connection
//! and no async runtime, so that it shares no code with a lane.
//!
//! It issues no session tickets: every connection costs a full handshake, with any TLS library. The lanes that
//! ship connect once, before they are ready, and therefore outside of the timed window.
//!
//! With [`Options::faults`] two more paths inject faults: `/short/SIZE-NUMBER` announces the whole body, sends
//! half of it and closes; `/stall/SIZE-NUMBER` sends half and then nothing until the client leaves. A client
//! whose origin is `https://…/short` meets a server that fails.

mod accept;
mod certificate;
mod connection;
mod request;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rtswap_workload::{ParamValue, Resources};

use crate::held::HeldFolder;
use crate::{CheckError, Service, ServiceError};
use accept::Accept;

/// The largest image, in bytes.
pub const LARGEST_BYTES: usize = 16 << 20;

/// The most connections of an origin that a run starts. Each is a thread.
const MOST_CONNECTIONS: usize = 1024;

/// How an origin is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The CPUs that its threads may use; empty for all CPUs.
    pub cpus: Vec<usize>,
    /// The address to listen on; port 0 takes a free port.
    pub addr: SocketAddr,
    /// The file for the root certificate; `None` for a temporary file, removed with the origin.
    pub root: Option<PathBuf>,
    /// The most connections; one more is closed immediately.
    pub connections: usize,
    /// Whether `/short/…` and `/stall/…` inject faults.
    pub faults: bool,
}

impl Default for Options {
    /// A free port of 127.0.0.1, on any CPU.
    fn default() -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { cpus: Vec::new(), addr, root: None, connections: MOST_CONNECTIONS, faults: false }
    }
}

/// The server. Dropping it ends all of its threads.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    root: RootFile,
    served: Arc<ServedImages>,
    _accept: Accept,
}

/// The file with the root certificate.
#[derive(Debug)]
enum RootFile {
    Kept(PathBuf),
    Temporary(PathBuf, #[expect(dead_code, reason = "removed with it")] HeldFolder),
}

impl RootFile {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path, _) => path,
        }
    }
}

impl Origin {
    /// Creates a certificate, listens and serves.
    ///
    /// # Errors
    /// If the address is taken, the threads cannot be pinned, or the root certificate cannot be written.
    pub fn start(options: &Options) -> Result<Self, ServiceError> {
        let certificate = certificate::create(options.addr.ip())
            .map_err(|source| ServiceError::Certificate { source })?;
        let root = write_root(&certificate.root_pem, options.root.as_deref())?;
        let served = Arc::new(ServedImages::default());
        let shared = connection::Shared {
            tls: Arc::new(certificate.tls),
            served: Arc::clone(&served),
            faults: options.faults,
        };
        let accept = Accept::start(options, shared)?;
        Ok(Self { addr: accept.addr(), root, served, _accept: accept })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// The file with the root certificate, as PEM.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Images that were served in full since the last [`check`](Service::check).
    pub fn served(&self) -> u64 {
        self.served.count(None)
    }
}

fn write_root(pem: &str, to: Option<&Path>) -> Result<RootFile, ServiceError> {
    let root = if let Some(path) = to {
        RootFile::Kept(path.to_owned())
    } else {
        let folder = HeldFolder::new("root").map_err(ServiceError::temporary("folder"))?;
        RootFile::Temporary(folder.path().join("root.pem"), folder)
    };
    let path = root.path();
    std::fs::write(path, pem)
        .map_err(|source| ServiceError::RootCertificate { path: path.to_owned(), source })?;
    Ok(root)
}

impl Service for Origin {
    fn resources(&mut self, _lane: &str) -> Result<Resources, ServiceError> {
        let root = ServiceError::utf8(self.root())?;
        let resources = [("origin", self.url()), ("origin-root", root.to_owned())];
        Ok(resources.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Compares the lane's downloads with the images that were served. Images of the warm-up count as well, so
    /// that a lane could report that many too many.
    fn check(
        &mut self,
        _lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), CheckError> {
        let size = params.get("size").and_then(ParamValue::number);
        let served = self.served.count(size);
        self.served.clear();
        if ops > served { Err(CheckError::NotServed { ops, served, size }) } else { Ok(()) }
    }
}

/// How many images were served in full, by their size. One lane is measured at a time, so that all are its own.
#[derive(Debug, Default)]
struct ServedImages(Mutex<BTreeMap<usize, u64>>);

impl ServedImages {
    fn add(&self, size: usize) {
        *self.sizes().entry(size).or_default() += 1;
    }

    /// Takes back an image that was counted before it was sent.
    fn remove(&self, size: usize) {
        if let Some(served) = self.sizes().get_mut(&size) {
            *served = served.saturating_sub(1);
        }
    }

    /// Images of one size, or of all sizes.
    fn count(&self, size: Option<u64>) -> u64 {
        let sizes = self.sizes();
        let counted = sizes.iter().filter(|(of, _)| size.is_none_or(|size| size == **of as u64));
        counted.map(|(_, served)| served).sum()
    }

    fn clear(&self) {
        self.sizes().clear();
    }

    fn sizes(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The origin of a run: on the CPUs of the load generator, and without injected faults.
pub(crate) fn start(cpus: &[usize]) -> Result<Origin, ServiceError> {
    let options = Options { cpus: cpus.to_owned(), ..Options::default() };
    Origin::start(&options).map_err(|source| ServiceError::Start {
        service: "the HTTPS origin",
        source: Box::new(source),
    })
}
