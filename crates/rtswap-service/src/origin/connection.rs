//! One connection: TLS, and its requests in order.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rtswap_workload::content;
use rustls::{ServerConfig, ServerConnection, Stream};

use super::ServedImages;
use super::request::{Delivery, RequestHead, Target, parse};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub tls: Arc<ServerConfig>,
    pub served: Arc<ServedImages>,
    pub faults: bool,
}

/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 << 10;

/// Bytes that are encrypted before they are written, so that an image of 64 KiB and its head take one system
/// call.
const AHEAD_BYTES: usize = 256 << 10;

struct Connection<'a> {
    tls: ServerConnection,
    socket: &'a TcpStream,
}

/// Serves until the client leaves, or until a request ends the connection.
pub(super) fn serve(socket: &TcpStream, shared: &Shared) -> io::Result<()> {
    let tls = ServerConnection::new(Arc::clone(&shared.tls)).map_err(io::Error::other)?;
    let mut connection = Connection { tls, socket };
    connection.tls.set_buffer_limit(Some(AHEAD_BYTES));
    let mut buffer = vec![0; HEAD_BYTES];
    let mut filled = 0;
    loop {
        let too_long = (filled == HEAD_BYTES)
            .then_some((RequestHead { target: Target::Malformed, keep_alive: false }, HEAD_BYTES));
        let Some((head, len)) = parse(&buffer[..filled], shared.faults).or(too_long) else {
            match connection.read(&mut buffer[filled..])? {
                0 => return connection.end(),
                more => filled += more,
            }
            continue;
        };
        buffer.copy_within(len..filled, 0);
        filled -= len;
        connection.answer(head, &shared.served)?;
        if !head.keep_alive {
            return connection.end();
        }
    }
}

impl Connection<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::new(&mut self.tls, &mut self.socket).read(buffer)
    }

    fn answer(&mut self, head: RequestHead, served: &ServedImages) -> io::Result<()> {
        let RequestHead { target, keep_alive } = head;
        let (size, number, delivery) = match target {
            Target::Image { size, number, delivery } => (size, number, delivery),
            Target::NotFound => return self.refuse("404 Not Found", "no such image", keep_alive),
            Target::OtherMethod => {
                return self.refuse("405 Method Not Allowed\r\nallow: GET", "GET only", keep_alive);
            }
            Target::Malformed => return self.refuse("400 Bad Request", "not HTTP/1", keep_alive),
        };
        self.head("200 OK", "application/octet-stream", size, keep_alive)?;
        let image = content(size, number);
        match delivery {
            Delivery::Whole => {
                let sent = self.send(image, || served.add(size));
                sent.map_err(|(error, counted)| {
                    if counted {
                        served.remove(size);
                    }
                    error
                })
            }
            Delivery::Truncated | Delivery::Stalled => {
                self.send(&image[..size / 2], || {}).map_err(|(error, _)| error)?;
                if delivery == Delivery::Stalled {
                    while self.read(&mut [0; 1024])? > 0 {}
                }
                self.end()?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    fn refuse(&mut self, status: &str, why: &str, keep_alive: bool) -> io::Result<()> {
        self.head(status, "text/plain", why.len() + 1, keep_alive)?;
        self.send(format!("{why}\n").as_bytes(), || {}).map_err(|(error, _)| error)
    }

    /// Encrypts a head, to be sent with the body.
    fn head(&mut self, status: &str, kind: &str, len: usize, keep_alive: bool) -> io::Result<()> {
        let close = if keep_alive { "" } else { "connection: close\r\n" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\n{close}\r\n"
        );
        self.tls.writer().write_all(head.as_bytes())
    }

    /// Sends a body. `before_last` is called before the last write, because the client may receive and report the
    /// body before that write returns. An error says whether it was called.
    fn send(
        &mut self,
        mut body: &[u8],
        before_last: impl FnOnce(),
    ) -> Result<(), (io::Error, bool)> {
        loop {
            let taken = self.tls.writer().write(body).map_err(|error| (error, false))?;
            body = &body[taken..];
            if body.is_empty() {
                before_last();
                return self.flush().map_err(|error| (error, true));
            }
            self.flush().map_err(|error| (error, false))?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Closes for writing, and reads what the client still sends: closing with unread bytes would reset the
    /// connection, and the client could lose the response.
    fn end(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)?;
        let mut rest = self.socket.take(1 << 20);
        io::copy(&mut rest, &mut io::sink())?;
        Ok(())
    }
}
