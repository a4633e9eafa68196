//! A blocking client of the origin, which can send requests that no HTTP library would.
#![allow(dead_code, reason = "every test binary has a copy and uses part of it")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rtswap_service::origin::{Options, Origin};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub fn origin() -> Origin {
    Origin::start(&Options { faults: true, ..Options::default() }).unwrap()
}

/// The address and port of an origin.
pub fn address(origin: &Origin) -> String {
    origin.url().strip_prefix("https://").unwrap().to_owned()
}

pub fn tcp(origin: &Origin) -> TcpStream {
    let stream = TcpStream::connect(address(origin)).unwrap();
    // A hang fails the test.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// A connection that trusts the root certificate in a file.
pub struct Client(StreamOwned<ClientConnection, TcpStream>);

/// The status, head and body of a response.
pub type Response = (u16, String, Vec<u8>);

impl Client {
    pub fn of(origin: &Origin) -> Self {
        Self::trusting(origin, origin.root())
    }

    pub fn trusting(origin: &Origin, root: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        Self(StreamOwned::new(tls, tcp(origin)))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: origin\r\n\r\n").as_bytes())?;
        self.receive()
    }

    pub fn receive_head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        Ok(String::from_utf8(head).unwrap())
    }

    pub fn receive(&mut self) -> io::Result<Response> {
        let head = self.receive_head()?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; len.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        Ok((status, head, body))
    }

    /// Whether the origin closed the connection.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}
