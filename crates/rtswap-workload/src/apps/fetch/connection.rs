//! HTTP/1.1 over TLS over a stream of the runtime's.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rtswap_runtime::{Net, TcpStream as _};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Site, explain};

/// A connection that is kept from image to image.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// The image that was downloaded last.
    pub image: Vec<u8>,
}

/// The server's address. This may ask a name server, and block meanwhile; it is done once.
pub(super) fn look_up(site: &Site) -> io::Result<SocketAddr> {
    let place = (host(site), site.uri.port_u16().unwrap_or(443));
    let mut found = place
        .to_socket_addrs()
        .map_err(|error| explain(&site.base, "cannot look up the host", &error))?;
    found.next().ok_or_else(|| io::Error::other(format!("{}: the host is unknown", site.base)))
}

/// Without the brackets that an IPv6 address has in a URL.
fn host(site: &Site) -> &str {
    site.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

impl Connection {
    pub async fn open<R: Net>(
        site: &Site,
        addr: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let place = &site.base;
        let name = ServerName::try_from(host(site).to_owned())
            .map_err(|error| explain(place, "no name of a server", &error))?;
        let stream = R::connect(addr).await;
        let stream = stream.map_err(|error| explain(place, "cannot connect", &error))?;
        let tls = TlsConnector::from(Arc::clone(config)).connect(name, stream.into_poll()).await;
        let tls = tls.map_err(|error| explain(place, "no TLS", &error))?;
        let (sender, connection) = handshake(TokioIo::new(tls))
            .await
            .map_err(|error| explain(place, "no HTTP", &error))?;
        // It ends with the sender, or with the server; a request that is under way hears of an error.
        drop(R::spawn(async move { drop(connection.await) }));
        Ok(Self { sender, image: Vec::new() })
    }

    /// Downloads an image into [`image`](Self::image).
    pub async fn get(&mut self, site: &Site, name: &str) -> io::Result<()> {
        let url = format!("{}{name}", site.base);
        let wrong = |what: String| io::Error::other(format!("{url}: {what}"));
        let authority = site.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(format!("{}{name}", site.uri.path()))
            .header(HOST, authority)
            .body(Empty::new())
            .map_err(|error| explain(&url, "cannot be asked for", &error))?;
        let lost = |error: hyper::Error| explain(&url, "no answer", &error);
        self.sender.ready().await.map_err(lost)?;
        let mut response = self.sender.send_request(request).await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(wrong(format!("the server answers {}", response.status())));
        }
        self.image.clear();
        while let Some(frame) = response.frame().await {
            // hyper compares what comes with what was announced.
            let frame = frame.map_err(|error| {
                let what = format!("cut short after {} bytes", self.image.len());
                explain(&url, &what, &error)
            })?;
            if let Some(bytes) = frame.data_ref() {
                self.image.extend_from_slice(bytes);
            }
            if self.image.len() > site.size {
                break;
            }
        }
        match self.image.len() {
            len if len == site.size => Ok(()),
            len if len > site.size => {
                Err(wrong(format!("there are more than {} bytes", site.size)))
            }
            len => Err(wrong(format!("there are {len} bytes, not {}", site.size))),
        }
    }
}
