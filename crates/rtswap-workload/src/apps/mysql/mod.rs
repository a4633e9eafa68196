mod client;
#[cfg(test)]
mod tests;

use mysql_common::Value;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg32;
use rtswap_runtime::Net;
use tokio::io::{AsyncRead, AsyncWrite};

use client::{Client, Statement};

use super::postgres::{Mix, QUERIES};
use super::tables::{ALL_FORTUNES, Dialect, Sql, WORLDS, check_fortunes, check_world, fill};
use crate::server::{ServerKind, ServerUrl, Stream};
use crate::{Batch, Fault, Load, Opened, Operate, Resources, Spec, SpecError, Spin, closed, paced};

/// `mysql`: rows that are looked up, by a small client over the runtime's own stream.
#[derive(Clone, Debug)]
pub struct Mysql {
    url: String,
    mix: Mix,
    conns: u64,
}

static DIALECT: Dialect = Dialect {
    lock: "SELECT GET_LOCK('rtswap', 60)",
    unlock: "SELECT RELEASE_LOCK('rtswap')",
    charset: "ENGINE=InnoDB CHARACTER SET utf8mb4",
};

impl Mysql {
    /// Its parameters are `mix` and `conns`; it is given `mysql`.
    ///
    /// # Errors
    /// If it was not given that.
    pub fn new(spec: &Spec, given: &Resources) -> Result<Self, SpecError> {
        let url = spec.given(given, "mysql")?;
        Ok(Self { url, mix: Mix::of(spec), conns: spec.get("conns") })
    }
}

/// A connection with its statements.
pub struct Link<S> {
    server: ServerUrl,
    client: Client<S>,
    world: Statement,
    fortunes: Statement,
    mix: Mix,
    ids: Pcg32,
}

impl Opened for Mysql {
    type Open<R: Net> = Vec<Link<Stream<R>>>;

    async fn open<R: Net>(&self) -> Result<Self::Open<R>, Fault> {
        let server = ServerUrl::parse(ServerKind::Mysql, &self.url)
            .map_err(|why| Fault::Io(std::io::Error::other(why)))?;
        let (user, password, database) = server.login();
        let refused = |error: std::io::Error| server.fault(error);
        let mut links = Vec::new();
        for number in 0..self.conns {
            let stream = server.connect::<R>().await?;
            let client = Client::connect(stream, &user, &password, &database).await;
            let mut client = client.map_err(refused)?;
            if number == 0 {
                fill(&server, &mut Filler { server: &server, client: &mut client }, &DIALECT)
                    .await?;
            }
            let world = "SELECT id, randomnumber FROM rtswap_world WHERE id = ?";
            let world = client.prepare(world).await.map_err(refused)?;
            let fortunes = client.prepare(ALL_FORTUNES).await.map_err(refused)?;
            let ids = Pcg32::seed_from_u64(number);
            let (server, mix) = (server.clone(), self.mix);
            links.push(Link { server, client, world, fortunes, mix, ids });
        }
        Ok(links)
    }

    async fn batch<R: Net>(&self, links: &mut Self::Open<R>, spin: Spin) -> Result<Batch, Fault> {
        closed::<R, _>(links, QUERIES, spin).await
    }

    async fn paced<R: Net>(
        &self,
        links: &mut Self::Open<R>,
        load: &Load,
        spin: Spin,
    ) -> Result<Batch, Fault> {
        paced::<R, _>(links, load, spin).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Operate for Link<S> {
    async fn operate(&mut self) -> Result<(), Fault> {
        match self.mix {
            Mix::World => {
                let asked = self.ids.random_range(1..=WORLDS);
                let params = [Value::Int(asked.into())];
                let rows = self.client.execute(&self.world, &params).await;
                let rows = rows.map_err(|error| self.server.fault(error))?;
                let [row] = rows.as_slice() else {
                    let wrong = format!("{} rows came for id {asked}", rows.len());
                    return Err(Fault::Wrong(wrong));
                };
                let (Some(Ok(id)), Some(Ok(number))) = (row.get_opt(0), row.get_opt(1)) else {
                    return Err(Fault::Wrong(format!("row {asked} holds no two numbers")));
                };
                check_world(asked, id, number)?;
            }
            Mix::Fortunes => {
                let rows = self.client.execute(&self.fortunes, &[]).await;
                let rows = rows.map_err(|error| self.server.fault(error))?;
                let rows = rows.into_iter().map(|mut row| {
                    let (id, message) = (row.take_opt(0)?.ok()?, row.take_opt(1)?.ok()?);
                    Some((id, message))
                });
                let rows: Option<Vec<_>> = rows.collect();
                let wrong = || Fault::Wrong("a fortune is no number and text".to_owned());
                check_fortunes(rows.ok_or_else(wrong)?)?;
            }
        }
        Ok(())
    }
}

struct Filler<'a, S> {
    server: &'a ServerUrl,
    client: &'a mut Client<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Sql for Filler<'_, S> {
    async fn run(&mut self, sql: &str) -> Result<(), Fault> {
        let done = self.client.query(sql).await;
        done.map(drop).map_err(|error| self.server.fault(error))
    }

    async fn number(&mut self, sql: &str) -> Result<u64, Fault> {
        let rows = self.client.query(sql).await.map_err(|error| self.server.fault(error))?;
        let number = rows.first().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.server.fault(format!("no number came of `{sql}`")))
    }
}

impl<S> std::fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}
