#![warn(missing_docs)]
//! What workloads use besides the lane: folders, files, and servers on this machine.
//!
//! A [`Service`] is started once for a run, on the CPUs of the load generator, and stopped when it is
//! dropped. The order to prepare a workload names what each lane may use. After each slice the service checks
//! what the lane did, so that no figure rests on the lane's own report alone.
//!
//! | a workload uses | the order names | which is |
//! |---|---|---|
//! | [`Uses::Folder`] | `folder` | an empty folder for this lane; files in it are compared byte by byte |
//! | [`Uses::Blocks`] | `blocks` | a file of 256 MiB |
//! | [`Uses::Origin`] | `origin`, `origin-root` | an HTTPS server of images ([`origin`]), which counts what it serves |
//! | [`Uses::Redis`], [`Uses::Mysql`], [`Uses::Postgres`] | `redis`, `mysql`, `postgres` | the URL of a database server |
//!
//! # Database servers
//!
//! `redis-server`, `mariadbd` and `postgres` are looked for in `PATH` and in the folders of Debian's packages,
//! or in the folders of [`SERVERS_VAR`] alone. Each server has a temporary folder and a free port of 127.0.0.1,
//! and is pinned to the CPUs of the load generator. Durability is off: it would slow down the start, and no
//! workload measures a server's disk. If rtswap runs as root, a server runs as the user of its package (`redis`,
//! `mysql`, `postgres`), who must be able to enter the folder for temporary files.
//!
//! Other users of the machine can connect to 127.0.0.1. The server knows one account, with a password that is
//! drawn for the run and reaches lanes in the URL, on their standard input. The account can use its own tables
//! or keys and nothing else: it is no superuser, reads no files and changes no settings. A client logs in when
//! it connects, before anything is timed.
//!
//! A server that ends is started again on the same port. It is killed when rtswap dies for any reason. All
//! temporary folders are removed at the end; those of a run that was killed, by the next run of the same user.
//!
//! With a URL of the user's no server is started. Lanes then create the tables `rtswap_world` and
//! `rtswap_fortune` there if they are missing, and keys that begin with `rtswap:`. Both are left behind, and
//! two runs must not use one Redis server at the same time. Each lane holds `conns` connections for each of
//! its shards, and all lanes of a round are connected at the same time.

mod blocks;
mod error;
mod folder;
mod held;
mod mysql;
#[cfg(feature = "apps")]
pub mod origin;
mod password;
mod postgres;
mod process;
mod redis;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use rtswap_workload::{ParamValue, Resources, Uses};

pub use error::{CheckError, ServiceError};
pub use held::{HeldFolder, sweep};
pub use server::SERVERS_VAR;
use server::{ExternalServer, ManagedServer, ServerProgram};

/// A resource that workloads use.
pub trait Service: Debug + Send {
    /// What the order to prepare names, for a lane that is about to be started.
    ///
    /// # Errors
    /// If the resource cannot be provided.
    fn resources(&mut self, lane: &str) -> Result<Resources, ServiceError>;

    /// Checks what a lane left behind in a slice of `ops` operations, and removes it. Runs outside of the
    /// timed window.
    ///
    /// # Errors
    /// What the lane did wrong.
    fn check(
        &mut self,
        _lane: &str,
        _params: &BTreeMap<String, ParamValue>,
        _ops: u64,
    ) -> Result<(), CheckError> {
        Ok(())
    }

    /// Starts the service again, for the next lanes, if it has ended.
    ///
    /// # Errors
    /// How it ended, also if it was started again: the lane that used it cannot go on.
    fn revive(&mut self) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// What services are started with.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// CPUs of servers: those of the load generator.
    pub cpus: Vec<usize>,
    /// URLs of the user's servers, by the name of the resource (`redis`). These are not started.
    pub urls: Resources,
}

/// The services of a run.
#[derive(Debug, Default)]
pub struct Services {
    running: BTreeMap<Uses, Box<dyn Service>>,
    missing: BTreeMap<Uses, ServiceError>,
}

impl Services {
    /// Removes what killed runs of this user left, and starts each service that is used. One that does not start is [`missing`](Self::missing).
    pub fn start(uses: &BTreeSet<Uses>, config: &Config) -> Self {
        sweep();
        let mut services = Self::default();
        for &uses in uses {
            match start(uses, config) {
                None => {}
                Some(Ok(service)) => drop(services.running.insert(uses, service)),
                Some(Err(error)) => drop(services.missing.insert(uses, error)),
            }
        }
        services
    }

    /// Why the first service that a workload uses and that is not running did not start.
    pub fn missing(&self, uses: &[Uses]) -> Option<&ServiceError> {
        uses.iter().find_map(|uses| self.missing.get(uses))
    }

    /// What the order to prepare names, of all services that a workload uses.
    ///
    /// # Errors
    /// As [`Service::resources`].
    pub fn resources(&mut self, uses: &[Uses], lane: &str) -> Result<Resources, ServiceError> {
        let mut all = Resources::new();
        for service in self.used(uses) {
            all.extend(service.resources(lane)?);
        }
        Ok(all)
    }

    /// Checks what a lane did.
    ///
    /// # Errors
    /// As [`Service::check`].
    pub fn check(
        &mut self,
        uses: &[Uses],
        lane: &str,
        params: &BTreeMap<String, ParamValue>,
        ops: u64,
    ) -> Result<(), CheckError> {
        self.used(uses).try_for_each(|service| service.check(lane, params, ops))
    }

    /// Starts services again that have ended.
    ///
    /// # Errors
    /// As [`Service::revive`].
    pub fn revive(&mut self, uses: &[Uses]) -> Result<(), ServiceError> {
        // Collected first: an error of one service must not keep the others from a restart.
        let revived: Vec<_> = self.used(uses).map(|service| service.revive()).collect();
        revived.into_iter().collect()
    }

    fn used(&mut self, uses: &[Uses]) -> impl Iterator<Item = &mut Box<dyn Service>> {
        let running = self.running.iter_mut();
        running.filter(|(known, _)| uses.contains(known)).map(|(_, service)| service)
    }
}

/// Starts a service; `None` for what needs none.
fn start(uses: Uses, config: &Config) -> Option<Result<Box<dyn Service>, ServiceError>> {
    type Started = Result<Box<dyn Service>, ServiceError>;
    fn boxed<S: Service + 'static>(service: Result<S, ServiceError>) -> Started {
        service.map(|service| Box::new(service) as Box<dyn Service>)
    }
    Some(match uses {
        Uses::Folder => boxed(folder::LaneFolders::start()),
        Uses::Blocks => boxed(blocks::BlockFile::start()),
        #[cfg(feature = "apps")]
        Uses::Origin => boxed(origin::start(&config.cpus)),
        // The workload that uses it is not built in either, and its lanes say so.
        #[cfg(not(feature = "apps"))]
        Uses::Origin => return None,
        Uses::PollStreams | Uses::Files => return None,
        _ => {
            let kind = server_program(uses)?;
            match config.urls.get(kind.kind().name()) {
                None => boxed(ManagedServer::start(kind, &config.cpus)),
                Some(url) => boxed(ExternalServer::new(kind, url)),
            }
        }
    })
}

/// The kind of server that is used, if it is a server.
fn server_program(uses: Uses) -> Option<&'static dyn ServerProgram> {
    match uses {
        Uses::Redis => Some(&redis::Redis),
        Uses::Mysql => Some(&mysql::Mysql),
        Uses::Postgres => Some(&postgres::Postgres),
        _ => None,
    }
}

/// Checks that the user's servers are there and ready, before anything is measured.
///
/// # Errors
/// Of the first server that is not.
pub fn reach(uses: &BTreeSet<Uses>, urls: &Resources) -> Result<(), ServiceError> {
    for kind in uses.iter().filter_map(|uses| server_program(*uses)) {
        if let Some(url) = urls.get(kind.kind().name()) {
            ExternalServer::new(kind, url)?.reach()?;
        }
    }
    Ok(())
}
