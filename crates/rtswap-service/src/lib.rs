#![warn(missing_docs)]
//! What workloads work with beside the lane: folders and files, and servers on this machine.
//!
//! A [`Service`] is started once for a run, on the CPUs of the load generator, and stopped when it is
//! dropped. Each lane is told of it in its order to prepare. After each slice the service checks what
//! the lane has left behind: what lanes say of themselves is not taken for granted.
//!
//! | a workload uses | and is told | which is |
//! |---|---|---|
//! | [`Uses::Folder`] | `folder` | an empty folder of the lane's own; what is left in it is compared, byte by byte |
//! | [`Uses::Blocks`] | `blocks` | a file of 256 MiB |
//! | [`Uses::Origin`] | `origin`, `origin-root` | an HTTPS server of images ([`origin`]), which counts what it serves |
//!
//! # Database servers
//!
//! `redis-server`, `mariadbd` and `postgres` are looked for in the folders of `PATH` and where packages put
//! them, or in those of [`SERVERS`] alone. Each has a folder among the temporary files, a free port of
//! 127.0.0.1 and no password, and is pinned to the CPUs of the load generator. Whatever only guards against
//! a loss of power is off: it would cost time at the start, and no workload writes to a disk through a server.
//! Where we are root, `mariadbd` and `postgres` run as the user `mysql` or `postgres`, as they refuse to
//! be root; the folder for temporary files must let them in.
//!
//! A server that ends is started again on its old port. It dies with us, however we end; its folder is
//! removed unless we were killed.
//!
//! With a URL of the user's none is started. Lanes then make the tables `rtswap_world` and `rtswap_fortune`
//! there if they are missing, and keys that begin with `rtswap:`; both are left behind, and no two runs may
//! work with one Redis server at a time. Each lane holds `conns` connections for each of its shards,
//! all lanes of a round at once.

mod blocks;
mod child;
mod folder;
mod mysql;
#[cfg(feature = "apps")]
pub mod origin;
mod postgres;
mod redis;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use rtswap_workload::{ParamValue, Resources, Uses};

pub use server::SERVERS;
use server::{Given, Kind, Server};

/// One thing that workloads work with.
pub trait Service: Debug + Send {
    /// What a lane that is about to be started is told.
    ///
    /// # Errors
    /// Why it cannot be had, in a line.
    fn resources(&mut self, lane: &str) -> Result<Resources, String>;

    /// Checks what a lane has left behind in a slice of `ops` operations, and clears it away. Not part
    /// of any timed window.
    ///
    /// # Errors
    /// What the lane has done wrong, in a line.
    fn check(
        &mut self,
        _lane: &str,
        _params: &BTreeMap<String, ParamValue>,
        _ops: u64,
    ) -> Result<(), String> {
        Ok(())
    }

    /// Whether it can go on; if it has ended, it is started again for the next lanes.
    ///
    /// # Errors
    /// That it had ended, and how, in a line.
    fn revive(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a service is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A program is not there; the text says what to install.
    Program(String),
    /// It was tried and did not work.
    Failed(String),
}

/// What services are started with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// CPUs of servers: those of the load generator.
    pub cpus: Vec<usize>,
    /// Servers of the user's, by the name of the resource: `redis` is a URL. None is started then.
    pub urls: Resources,
}

/// The services of a run.
#[derive(Debug, Default)]
pub struct Services {
    running: BTreeMap<Uses, Box<dyn Service>>,
    missing: BTreeMap<Uses, Missing>,
}

impl Services {
    /// Starts what is needed and can be had.
    pub fn start(uses: &BTreeSet<Uses>, config: &Config) -> Self {
        let mut services = Self::default();
        for &uses in uses {
            match start(uses, config) {
                None => {}
                Some(Ok(service)) => drop(services.running.insert(uses, service)),
                Some(Err(missing)) => drop(services.missing.insert(uses, missing)),
            }
        }
        services
    }

    /// What is missing of what a workload uses.
    pub fn missing(&self, uses: &[Uses]) -> Option<&Missing> {
        uses.iter().find_map(|uses| self.missing.get(uses))
    }

    /// What a lane is told.
    ///
    /// # Errors
    /// As [`Service::resources`].
    pub fn resources(&mut self, uses: &[Uses], lane: &str) -> Result<Resources, String> {
        let mut all = Resources::new();
        for service in self.of(uses) {
            all.extend(service.resources(lane)?);
        }
        Ok(all)
    }

    /// Checks what a lane has done.
    ///
    /// # Errors
    /// As [`Service::check`].
    pub fn check(
        &mut self,
        uses: &[Uses],
        lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), String> {
        self.of(uses).try_for_each(|service| service.check(lane, params, ops))
    }

    /// Starts again what has ended.
    ///
    /// # Errors
    /// As [`Service::revive`].
    pub fn revive(&mut self, uses: &[Uses]) -> Result<(), String> {
        // All of them, whatever became of the first.
        let ends: Vec<_> = self.of(uses).map(|service| service.revive()).collect();
        ends.into_iter().collect()
    }

    fn of(&mut self, uses: &[Uses]) -> impl Iterator<Item = &mut Box<dyn Service>> {
        self.running.iter_mut().filter(|(known, _)| uses.contains(known)).map(|(_, it)| it)
    }
}

/// `None` for what is no service.
fn start(uses: Uses, config: &Config) -> Option<Result<Box<dyn Service>, Missing>> {
    fn boxed<S: Service + 'static>(it: Result<S, Missing>) -> Result<Box<dyn Service>, Missing> {
        it.map(|it| Box::new(it) as Box<dyn Service>)
    }
    Some(match uses {
        Uses::Folder => boxed(folder::Folder::start()),
        Uses::Blocks => boxed(blocks::Blocks::start()),
        #[cfg(feature = "apps")]
        Uses::Origin => boxed(origin::start(&config.cpus)),
        // The workload that uses it is not built in either, and its lanes say so.
        #[cfg(not(feature = "apps"))]
        Uses::Origin => return None,
        Uses::PollStreams | Uses::Files => return None,
        _ => {
            let kind = kind(uses)?;
            match config.urls.get(kind.kind().name()) {
                None => boxed(Server::start(kind, &config.cpus)),
                Some(url) => boxed(Given::new(kind, url).map_err(Missing::Failed)),
            }
        }
    })
}

/// The kind of server that is used.
fn kind(uses: Uses) -> Option<&'static dyn Kind> {
    match uses {
        Uses::Redis => Some(&redis::Redis),
        Uses::Mysql => Some(&mysql::Mysql),
        Uses::Postgres => Some(&postgres::Postgres),
        _ => None,
    }
}

/// Checks that the servers of the user's that are needed are there, before anything is measured.
///
/// # Errors
/// Which one is not, why, and what to do, in a line.
pub fn reach(uses: &BTreeSet<Uses>, urls: &Resources) -> Result<(), String> {
    for kind in uses.iter().filter_map(|uses| kind(*uses)) {
        if let Some(url) = urls.get(kind.kind().name()) {
            Given::new(kind, url)?.reach()?;
        }
    }
    Ok(())
}
