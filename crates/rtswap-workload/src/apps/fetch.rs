//! Many images over HTTPS, each saved to a file.

mod connection;
mod save;
mod tls;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::Uri;
use rtswap_runtime::{Fs, Net};

use crate::{Batch, Fault, Resources, Spec, SpecError, Spin, WithFiles};
use connection::Connection;

/// `fetch`: a client that downloads many images at once over HTTPS and saves each to a file.
///
/// What asyncio is shown off with in tutorials: a session, a limit on what is under way at once, a file for
/// each image. The origin's certificate is checked; the tutorials' session, which accepts any certificate, is
/// the variant `verify_tls=false`. The client is hyper over tokio-rustls on every runtime. Connections are
/// opened once and kept, so that no handshake is timed.
///
/// An image is written to a file `.SIZE-NUMBER.part` first, which is renamed when it is whole, and
/// removed if it does not become so.
#[derive(Clone, Debug)]
pub struct Fetch {
    images: u64,
    size: usize,
    concurrency: u64,
    verify_tls: bool,
    origin: String,
    root: PathBuf,
    folder: PathBuf,
    // Of this lane. Each shard has images of its own, and so files that no other writes.
    shards: Arc<AtomicU64>,
}

/// Where images come from and go to.
#[derive(Debug)]
struct Site {
    uri: Uri,
    // As given, with a slash at the end.
    base: String,
    folder: PathBuf,
    size: usize,
}

/// What is open: the connections, and the numbers of the images.
#[derive(Debug)]
pub struct Open {
    connections: Vec<Connection>,
    site: Arc<Site>,
    first: u64,
}

impl Fetch {
    /// Its parameters are `images`, `size`, `concurrency` and `verify_tls`; it is given `origin`,
    /// `origin-root` and `folder`.
    ///
    /// # Errors
    /// [`SpecError::Missing`] if it is not.
    pub fn new(spec: &Spec, given: &Resources) -> Result<Self, SpecError> {
        let given = |resource: &'static str| {
            let missing = || SpecError::Missing { workload: spec.to_string(), resource };
            given.get(resource).cloned().ok_or_else(missing)
        };
        Ok(Self {
            images: spec.get("images"),
            size: spec.get("size") as usize,
            concurrency: spec.get("concurrency"),
            verify_tls: spec.name_of("verify_tls") == "true",
            origin: given("origin")?,
            root: given("origin-root")?.into(),
            folder: given("folder")?.into(),
            shards: Arc::default(),
        })
    }

    fn site(&self) -> io::Result<Site> {
        let base = format!("{}/", self.origin.trim_end_matches('/'));
        let uri: Uri = base.parse().map_err(|error| explain(&self.origin, "no URL", &error))?;
        if uri.scheme_str() != Some("https") {
            return Err(io::Error::other(format!("{}: not an https URL", self.origin)));
        }
        Ok(Site { uri, base, folder: self.folder.clone(), size: self.size })
    }
}

impl WithFiles for Fetch {
    type Open<R: Net + Fs> = Open;

    async fn open<R: Net + Fs>(&self) -> Result<Open, Fault> {
        let site = self.site()?;
        let config = Arc::new(tls::config(self.verify_tls.then_some(&self.root))?);
        let addr = connection::look_up(&site)?;
        let mut connections = Vec::new();
        for _ in 0..self.concurrency.min(self.images) {
            connections.push(Connection::open::<R>(&site, addr, &config).await?);
        }
        let first = self.shards.fetch_add(1, Ordering::Relaxed) * self.images;
        Ok(Open { connections, site: Arc::new(site), first })
    }

    async fn batch<R: Net + Fs>(&self, open: &mut Open, spin: Spin) -> Result<Batch, Fault> {
        let end = open.first + self.images;
        let next = Arc::new(AtomicU64::new(open.first));
        let tasks: Vec<_> = open
            .connections
            .drain(..)
            .map(|connection| {
                let (site, next) = (Arc::clone(&open.site), Arc::clone(&next));
                R::spawn(download::<R>(connection, site, next, end, spin))
            })
            .collect();
        let (mut latencies_ns, mut fault) = (Vec::with_capacity(self.images as usize), None);
        // All of them, also after the first that fails: none is left that writes a file.
        for task in tasks {
            match task.await {
                Ok((connection, taken_ns)) => {
                    open.connections.push(connection);
                    latencies_ns.extend(taken_ns);
                }
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        match fault {
            None => Ok(Batch { ops: self.images, latencies_ns }),
            Some(error) => Err(error.into()),
        }
    }
}

/// Downloads one image after the other, until all numbers are taken, and returns how long each took.
async fn download<R: Net + Fs>(
    mut connection: Connection,
    site: Arc<Site>,
    next: Arc<AtomicU64>,
    end: u64,
    spin: Spin,
) -> io::Result<(Connection, Vec<u64>)> {
    let mut taken_ns = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok((connection, taken_ns));
        }
        let begin = Instant::now();
        let name = format!("{}-{number}", site.size);
        let done = async {
            connection.get(&site, &name).await?;
            save::save::<R>(&site, &name, &mut connection.image).await
        };
        if let Err(error) = done.await {
            // The others begin no more.
            next.store(end, Ordering::Relaxed);
            return Err(error);
        }
        spin.burn();
        taken_ns.push(begin.elapsed().as_nanos() as u64);
    }
}

/// An error in one line: where, what, and all that lies behind it, each said once.
fn explain(place: &str, what: &str, error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut text = format!("{place}: {what}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    io::Error::other(text)
}
