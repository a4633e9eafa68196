use std::sync::atomic::{AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, IntoConnectionInfo as _, Pipeline, RedisError, Value};
use rtswap_runtime::Net;

use crate::server::{ServerKind, ServerUrl};
use crate::{
    Batch, Fault, Load, Opened, Operate, Resources, Spec, SpecError, Spin, closed, content, paced,
};

/// `redis`: values that are set and read back, by redis-rs over the runtime's own stream.
#[derive(Clone, Debug)]
pub struct Redis {
    url: String,
    pipeline: u64,
    conns: u64,
}

/// Bytes of a value.
const VALUE_BYTES: usize = 64;

/// Commands of each connection in a batch, and in pipelines at least this many of those: spawning the
/// task is below 1 % of it, and the batch lasts a few milliseconds.
const COMMANDS: u64 = 32;
const PIPELINES_LEAST: u64 = 4;

impl Redis {
    /// Its parameters are `pipeline` and `conns`; it is given `redis`.
    ///
    /// # Errors
    /// If it was not given that.
    pub fn new(spec: &Spec, given: &Resources) -> Result<Self, SpecError> {
        let url = spec.given(given, "redis")?;
        Ok(Self { url, pipeline: spec.get("pipeline"), conns: spec.get("conns") })
    }
}

/// A connection and what it has done.
#[derive(Debug)]
pub struct Link {
    server: ServerUrl,
    connection: MultiplexedConnection,
    key: String,
    pipeline: u64,
    /// Commands so far: the even ones set, the odd ones get what was set just before.
    count: u64,
}

impl Opened for Redis {
    type Open<R: Net> = Vec<Link>;

    async fn open<R: Net>(&self) -> Result<Vec<Link>, Fault> {
        // Keys are of this connection alone. The same are taken by every lane, as only one works at a
        // time, so that no more than a few are left behind.
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let server = ServerUrl::parse(ServerKind::Redis, &self.url)
            .map_err(|why| Fault::Io(std::io::Error::other(why)))?;
        let refused = |error: RedisError| server.fault(error);
        let info = server.text().into_connection_info().map_err(refused)?;
        // Its time limits would ask for tokio or smol at run time, whichever runtime this is.
        let config =
            AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let mut links = Vec::new();
        for _ in 0..self.conns {
            let stream = server.connect::<R>().await?;
            let (connection, driver) = MultiplexedConnection::new_with_config(
                info.redis_settings(),
                stream,
                config.clone(),
            )
            .await
            .map_err(refused)?;
            drop(R::spawn(driver));
            let key = format!("rtswap:{}", KEYS.fetch_add(1, Ordering::Relaxed));
            let (server, pipeline) = (server.clone(), self.pipeline);
            links.push(Link { server, connection, key, pipeline, count: 0 });
        }
        Ok(links)
    }

    async fn batch<R: Net>(&self, links: &mut Vec<Link>, spin: Spin) -> Result<Batch, Fault> {
        let turns = (COMMANDS / self.pipeline).max(PIPELINES_LEAST);
        closed::<R, _>(links, turns, spin).await
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
    fn pipeline(&self) -> u64 {
        self.pipeline
    }

    async fn operate(&mut self) -> Result<(), Fault> {
        let (first, pipeline) = (self.count, self.pipeline);
        self.count += pipeline;
        let answers = self.send(first, pipeline).await;
        let answers = answers.map_err(|error| self.server.fault(error))?;
        if answers.len() as u64 != pipeline {
            let got = answers.len();
            return Err(Fault::Wrong(format!("{got} answers to {pipeline} commands")));
        }
        for (command, answer) in (first..).zip(answers) {
            check(command, &answer)?;
        }
        Ok(())
    }
}

impl Link {
    async fn send(&mut self, first: u64, pipeline: u64) -> Result<Vec<Value>, RedisError> {
        if pipeline == 1 {
            return Ok(vec![self.command(first).query_async(&mut self.connection).await?]);
        }
        let mut pipe = Pipeline::with_capacity(pipeline as usize);
        for command in first..first + pipeline {
            pipe.add_command(self.command(command));
        }
        pipe.query_async(&mut self.connection).await
    }

    fn command(&self, number: u64) -> Cmd {
        if number.is_multiple_of(2) {
            Cmd::set(&self.key, value(number))
        } else {
            Cmd::get(&self.key)
        }
    }
}

/// What a command's pair sets and reads back.
fn value(command: u64) -> &'static [u8] {
    content(VALUE_BYTES, command / 2)
}

fn check(command: u64, answer: &Value) -> Result<(), Fault> {
    let right = match answer {
        Value::Okay => command.is_multiple_of(2),
        Value::BulkString(bytes) => !command.is_multiple_of(2) && bytes == value(command),
        _ => false,
    };
    if right {
        return Ok(());
    }
    let name = if command.is_multiple_of(2) { "SET" } else { "GET" };
    Err(Fault::Wrong(format!("{name} number {command} was answered with {answer:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_to_its_own_command() {
        let bulk = |number| Value::BulkString(content(VALUE_BYTES, number).to_vec());
        check(6, &Value::Okay).unwrap();
        check(7, &bulk(3)).unwrap();
        for (command, answer) in
            [(6, bulk(3)), (7, Value::Okay), (7, bulk(2)), (7, Value::Nil), (6, Value::Nil)]
        {
            assert!(check(command, &answer).is_err(), "{command} {answer:?}");
        }
    }
}
