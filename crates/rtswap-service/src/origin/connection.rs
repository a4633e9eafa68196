//! One connection: TLS, and request after request.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rtswap_workload::content;
use rustls::{ServerConfig, ServerConnection, Stream};

use super::Served;
use super::request::{Ask, How, Wants, read};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Site {
    pub tls: Arc<ServerConfig>,
    pub served: Arc<Served>,
    pub faults: bool,
}

/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 << 10;

/// Bytes that are encrypted before they are written: an image of 64 KiB and its head go out in one
/// system call.
const AHEAD_BYTES: usize = 256 << 10;

struct Connection<'a> {
    tls: ServerConnection,
    socket: &'a TcpStream,
}

/// Serves until the client leaves or has to.
pub(super) fn serve(socket: &TcpStream, site: &Site) -> io::Result<()> {
    let tls = ServerConnection::new(Arc::clone(&site.tls)).map_err(io::Error::other)?;
    let mut connection = Connection { tls, socket };
    connection.tls.set_buffer_limit(Some(AHEAD_BYTES));
    let mut buffer = vec![0; HEAD_BYTES];
    let mut filled = 0;
    loop {
        let too_long = (filled == HEAD_BYTES)
            .then_some((Ask { wants: Wants::Malformed, keep: false }, HEAD_BYTES));
        let Some((ask, len)) = read(&buffer[..filled], site.faults).or(too_long) else {
            match connection.read(&mut buffer[filled..])? {
                0 => return connection.end(),
                more => filled += more,
            }
            continue;
        };
        buffer.copy_within(len..filled, 0);
        filled -= len;
        connection.answer(ask, &site.served)?;
        if !ask.keep {
            return connection.end();
        }
    }
}

impl Connection<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stream::new(&mut self.tls, &mut self.socket).read(buffer)
    }

    fn answer(&mut self, ask: Ask, served: &Served) -> io::Result<()> {
        let (size, number, how) = match ask.wants {
            Wants::Image { size, number, how } => (size, number, how),
            Wants::Absent => return self.refuse("404 Not Found", "no such image", ask.keep),
            Wants::Otherwise => {
                return self.refuse("405 Method Not Allowed\r\nallow: GET", "GET only", ask.keep);
            }
            Wants::Malformed => return self.refuse("400 Bad Request", "not HTTP/1", ask.keep),
        };
        self.head("200 OK", "application/octet-stream", size, ask.keep)?;
        let image = content(size, number);
        match how {
            How::Whole => {
                let sent = self.send(image, || served.count(size));
                // What was counted before its last bytes were on their way.
                sent.map_err(|(error, last)| {
                    if last {
                        served.uncount(size);
                    }
                    error
                })
            }
            How::Short | How::Stall => {
                self.send(&image[..size / 2], || {}).map_err(|(error, _)| error)?;
                if how == How::Stall {
                    while self.read(&mut [0; 1024])? > 0 {}
                }
                self.end()?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    fn refuse(&mut self, status: &str, why: &str, keep: bool) -> io::Result<()> {
        self.head(status, "text/plain", why.len() + 1, keep)?;
        self.send(format!("{why}\n").as_bytes(), || {}).map_err(|(error, _)| error)
    }

    /// Encrypts a head, to be sent with what follows.
    fn head(&mut self, status: &str, kind: &str, len: usize, keep: bool) -> io::Result<()> {
        let close = if keep { "" } else { "connection: close\r\n" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\n{close}\r\n"
        );
        self.tls.writer().write_all(head.as_bytes())
    }

    /// Sends a body. `last` is called before the last of it goes out, because the client may have it, and
    /// have told so, before the call returns. An error says whether that was so.
    fn send(&mut self, mut body: &[u8], last: impl FnOnce()) -> Result<(), (io::Error, bool)> {
        loop {
            let taken = self.tls.writer().write(body).map_err(|error| (error, false))?;
            body = &body[taken..];
            if body.is_empty() {
                last();
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

    /// Says that nothing follows, and reads what the client still sends: closing with something unread
    /// would reset the connection, and lose the answer on its way.
    fn end(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)?;
        let mut rest = self.socket.take(1 << 20);
        io::copy(&mut rest, &mut io::sink())?;
        Ok(())
    }
}
