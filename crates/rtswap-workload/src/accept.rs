use std::io;

use rtswap_runtime::{Net, TcpListener, accept};

/// The next connection. Errors of one connection, and of descriptors that are exhausted for a while,
/// do not end the server.
pub(crate) async fn accept<R: Net>(listener: &mut R::TcpListener) -> io::Result<R::TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => R::sleep(accept::pause_after(error)?).await,
        }
    }
}
