//! Where a server is, and connections to it by the runtime's own means.

use std::fmt;
use std::io;
use std::net::SocketAddr;

#[cfg(feature = "apps")]
use rtswap_runtime::{Net, TcpStream};
use url::Url;

#[cfg(feature = "apps")]
use crate::Fault;

/// The poll face of a runtime's stream.
#[cfg(feature = "apps")]
pub(crate) type Stream<R> = <<R as Net>::TcpStream as TcpStream>::Poll;

/// A server of a kind, by its URL: `redis://127.0.0.1:6379`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    kind: ServerKind,
    url: Url,
}

/// Without the password: what is printed may be logged.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        // Refused where the URL has no host, and then it has no password.
        let _ = url.set_password(None);
        f.debug_tuple("ServerUrl").field(&url.as_str()).finish()
    }
}

/// The kinds of servers that there are URLs of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis and what speaks its protocol.
    Redis,
    /// MySQL and MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

impl ServerKind {
    /// Its name, as in [`Resources`](crate::Resources).
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
        }
    }

    /// The kind of that name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Redis, Self::Mysql, Self::Postgres].into_iter().find(|kind| kind.name() == name)
    }

    fn port(self) -> u16 {
        match self {
            Self::Redis => 6379,
            Self::Mysql => 3306,
            Self::Postgres => 5432,
        }
    }

    /// What a URL looks like.
    fn model(self) -> &'static str {
        match self {
            Self::Redis => "redis://127.0.0.1:6379",
            Self::Mysql => "mysql://user:password@127.0.0.1:3306/database",
            Self::Postgres => "postgres://user:password@127.0.0.1:5432/database",
        }
    }
}

impl ServerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it should look like, in a line. The URL is not repeated: it may hold a password.
    pub fn parse(kind: ServerKind, text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("it is no URL of a server ({why}); say {}", kind.model());
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let scheme = url.scheme();
        let known = scheme == kind.name() || (kind, scheme) == (ServerKind::Postgres, "postgresql");
        if !known {
            return Err(wrong(&format!("it begins with {scheme}")));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it names no host"));
        }
        if kind == ServerKind::Mysql && (url.username().is_empty() || database(&url).is_empty()) {
            return Err(wrong("it names no user or no database"));
        }
        Ok(Self { kind, url })
    }

    /// What it is called in messages: its kind, host and port.
    pub fn label(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{} at {host}:{}", self.kind.name(), self.port())
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap_or(self.kind.port())
    }

    /// The address of its host. Asks the system's resolver, which blocks.
    ///
    /// # Errors
    /// That the name has none.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        let addrs = self.url.socket_addrs(|| Some(self.kind.port()));
        let first = addrs.and_then(|addrs| {
            // Where a name has several, servers listen on the older kind more often.
            addrs.iter().min_by_key(|addr| addr.is_ipv6()).copied().ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "the host's name has no address")
            })
        });
        first.map_err(|error| self.wrap(&error))
    }

    /// The URL.
    pub fn text(&self) -> &str {
        self.url.as_str()
    }

    /// User, password and database, as they are and not as a URL spells them.
    pub fn login(&self) -> (String, String, String) {
        let (user, password) = (self.url.username(), self.url.password().unwrap_or_default());
        (plain(user), plain(password), plain(database(&self.url)))
    }

    /// Connects, by the means of the runtime.
    #[cfg(feature = "apps")]
    pub(crate) async fn connect<R: Net>(&self) -> Result<Stream<R>, Fault> {
        let stream = R::connect(self.addr()?).await.map_err(|error| self.wrap(&error))?;
        Ok(stream.into_poll())
    }

    /// An error that says whose it is.
    #[cfg(feature = "apps")]
    pub(crate) fn fault(&self, why: impl fmt::Display) -> Fault {
        Fault::Io(io::Error::other(format!("{}: {why}", self.label())))
    }

    fn wrap(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.label()))
    }
}

fn database(url: &Url) -> &str {
    url.path().trim_start_matches('/')
}

/// Undoes the escapes of a URL.
fn plain(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_leaves_out_is_known_and_its_escapes_are_undone() {
        let url = ServerUrl::parse(ServerKind::Mysql, "mysql://me:a%40b+c@localhost/db").unwrap();
        assert_eq!(url.label(), "mysql at localhost:3306");
        assert_eq!(url.login(), ("me".to_owned(), "a@b+c".to_owned(), "db".to_owned()));
        assert_eq!(url.addr().unwrap(), "127.0.0.1:3306".parse().unwrap());
    }

    #[test]
    fn debug_output_has_no_password() {
        let url = ServerUrl::parse(ServerKind::Redis, "redis://me:secret@127.0.0.1/").unwrap();
        let text = format!("{url:?}");
        assert!(text.contains("me@127.0.0.1") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_is_no_url_is_told_what_one_looks_like_and_not_repeated() {
        for (kind, text) in [
            (ServerKind::Redis, "127.0.0.1:6379/secret"),
            (ServerKind::Redis, "rediss://secret"),
            (ServerKind::Redis, "redis://"),
            (ServerKind::Mysql, "mysql://127.0.0.1/secret"),
            (ServerKind::Mysql, "mysql://user:secret@127.0.0.1"),
            (ServerKind::Postgres, "mysql://user:secret@127.0.0.1/db"),
        ] {
            let told = ServerUrl::parse(kind, text).unwrap_err();
            assert!(told.contains(&format!("say {}://", kind.name())), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
