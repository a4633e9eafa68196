use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;
use rtswap_runtime::Net;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, Statement};

use super::tables::{ALL_FORTUNES, Dialect, Sql, WORLDS, check_fortunes, check_world, fill};
use crate::server::{ServerKind, ServerUrl};
use crate::{Batch, Fault, Load, Opened, Operate, Resources, Spec, SpecError, Spin, closed, paced};

/// `postgres`: rows that are looked up, by tokio-postgres over the runtime's own stream.
#[derive(Clone, Debug)]
pub struct Postgres {
    url: String,
    mix: Mix,
    conns: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    World,
    Fortunes,
}

impl Mix {
    pub fn of(spec: &Spec) -> Self {
        if spec.name_of("mix") == "world" { Self::World } else { Self::Fortunes }
    }
}

/// Queries of each connection in a batch: spawning the task is below 1 % of them, and the batch lasts a
/// few milliseconds.
pub(crate) const QUERIES: u64 = 8;

/// The parameters of both databases.
static DIALECT: Dialect = Dialect {
    lock: "SELECT pg_advisory_lock(727477617)",
    unlock: "SELECT pg_advisory_unlock(727477617)",
    charset: "",
};

impl Postgres {
    /// Its parameters are `mix` and `conns`; it is given `postgres`.
    ///
    /// # Errors
    /// If it was not given that.
    pub fn new(spec: &Spec, given: &Resources) -> Result<Self, SpecError> {
        let url = spec.given(given, "postgres")?;
        Ok(Self { url, mix: Mix::of(spec), conns: spec.get("conns") })
    }
}

/// A connection with its statements.
pub struct Link {
    server: ServerUrl,
    client: Client,
    world: Statement,
    fortunes: Statement,
    mix: Mix,
    ids: Pcg32,
}

impl Opened for Postgres {
    type Open<R: Net> = Vec<Link>;

    async fn open<R: Net>(&self) -> Result<Vec<Link>, Fault> {
        let server = ServerUrl::parse(ServerKind::Postgres, &self.url)
            .map_err(|why| Fault::Io(std::io::Error::other(why)))?;
        let refused = |error: Error| server.fault(message(&error));
        let config: Config = server.text().parse().map_err(refused)?;
        let mut links = Vec::new();
        for number in 0..self.conns {
            let stream = server.connect::<R>().await?;
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(refused)?;
            // Its end reaches whoever waits for an answer.
            drop(R::spawn(async move { drop(connection.await) }));
            if number == 0 {
                fill(&server, &mut Filler { server: &server, client: &client }, &DIALECT).await?;
            }
            let world = "SELECT id, randomnumber FROM rtswap_world WHERE id = $1";
            let world = client.prepare(world).await.map_err(refused)?;
            let fortunes = client.prepare(ALL_FORTUNES).await.map_err(refused)?;
            let ids = Pcg32::seed_from_u64(number);
            let (server, mix) = (server.clone(), self.mix);
            links.push(Link { server, client, world, fortunes, mix, ids });
        }
        Ok(links)
    }

    async fn batch<R: Net>(&self, links: &mut Vec<Link>, spin: Spin) -> Result<Batch, Fault> {
        closed::<R, _>(links, QUERIES, spin).await
    }

    async fn paced<R: Net>(
        &self,
        links: &mut Vec<Link>,
        load: &Load,
        spin: Spin,
    ) -> Result<Batch, Fault> {
        paced::<R, _>(links, load, spin).await
    }
}

impl Operate for Link {
    async fn operate(&mut self) -> Result<(), Fault> {
        match self.mix {
            Mix::World => {
                let asked = self.ids.random_range(1..=WORLDS);
                let row = self.client.query_one(&self.world, &[&asked.cast_signed()]).await;
                let row = row.map_err(|error| self.fault(&error))?;
                let (id, number) = (row.try_get(0), row.try_get(1));
                let (id, number) = (
                    id.map_err(|error| self.fault(&error))?,
                    number.map_err(|error| self.fault(&error))?,
                );
                check_world(asked, id, number)?;
            }
            Mix::Fortunes => {
                let rows = self.client.query(&self.fortunes, &[]).await;
                let rows = rows.map_err(|error| self.fault(&error))?;
                let rows = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
                let rows: Result<_, Error> = rows.collect();
                check_fortunes(rows.map_err(|error| self.fault(&error))?)?;
            }
        }
        Ok(())
    }
}

impl Link {
    fn fault(&self, error: &Error) -> Fault {
        self.server.fault(message(error))
    }
}

/// An error with its cause: by itself it says "db error" and no more.
fn message(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

struct Filler<'a> {
    server: &'a ServerUrl,
    client: &'a Client,
}

impl Sql for Filler<'_> {
    async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        self.client.batch_execute(sql).await.map_err(|error| self.server.fault(message(&error)))
    }

    async fn number(&mut self, sql: &str) -> Result<u64, Fault> {
        let answer = self.client.simple_query(sql).await;
        let answer = answer.map_err(|error| self.server.fault(message(&error)))?;
        let rows = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        rows.ok_or_else(|| self.server.fault(format!("no number came of `{sql}`")))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}
