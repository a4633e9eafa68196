use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use rtswap::workload::{
    Batch, Drive, Family, Fault, Load, Opened, Operate, Param, Spec, Spin, closed, content, paced,
};
use rtswap::{Buffer, Net, ReadOwned, TcpListener as _, TcpStream as _, WriteOwned, socket};

/// `pipe`: a TCP proxy with its client and its server in one lane.
///
/// A message goes from a client's task over a proxy's to an echo server's, and back. Each hop is a TCP
/// connection over loopback, and all of them are the runtime's own.
#[derive(Clone, Copy, Debug)]
pub struct Pipe {
    size: usize,
    conns: u64,
}

pub(crate) static FAMILY: Family = Family::new(
    "pipe",
    "one message through a TCP proxy to an echo server and back, its content compared",
    "message",
    Drive::Lane,
)
.params(&[
    Param::number("size", "bytes of a message", 1024, &[1024, 65_536], 1 << 20),
    Param::number("conns", "clients, each with a message under way", 8, &[1, 8, 64], 1000),
    // The workload can be offered a load: it implements `Opened::paced`.
    Param::RATE,
    Param::ARRIVALS,
]);

/// Messages of each client in a batch.
const MESSAGES: u64 = 16;

/// Bytes that the proxy and the echo server read at most at once.
const BUFFER_BYTES: usize = 64 << 10;

impl Pipe {
    /// Its parameters are `size` and `conns`.
    pub fn new(spec: &Spec) -> Self {
        Self { size: spec.get("size") as usize, conns: spec.get("conns") }
    }
}

/// A client and its connection to the proxy.
pub struct Client<R: Net> {
    stream: R::TcpStream,
    buffer: Buffer,
    size: usize,
    /// Messages so far. Each has other content than the one before.
    messages: u64,
}

impl Opened for Pipe {
    type Open<R: Net> = Vec<Client<R>>;

    /// The servers are tasks that end with the runtime.
    async fn open<R: Net>(&self) -> Result<Vec<Client<R>>, Fault> {
        let server = listen::<R, _>(|stream| async move {
            let (reader, writer) = stream.into_split();
            copy(reader, writer).await
        })?;
        let proxy = listen::<R, _>(move |client| async move {
            let (client_reader, client_writer) = client.into_split();
            let (server_reader, server_writer) = R::connect(server).await?.into_split();
            drop(R::spawn(copy(client_reader, server_writer)));
            copy(server_reader, client_writer).await
        })?;
        let mut clients = Vec::new();
        for _ in 0..self.conns {
            let stream = R::connect(proxy).await?;
            let (size, buffer) = (self.size, Buffer::with_capacity(self.size));
            clients.push(Client { stream, buffer, size, messages: 0 });
        }
        Ok(clients)
    }

    async fn batch<R: Net>(&self, open: &mut Vec<Client<R>>, spin: Spin) -> Result<Batch, Fault> {
        closed::<R, _>(open, MESSAGES, spin).await
    }

    async fn paced<R: Net>(
        &self,
        open: &mut Vec<Client<R>>,
        load: &Load,
        spin: Spin,
    ) -> Result<Batch, Fault> {
        paced::<R, _>(open, load, spin).await
    }
}

impl<R: Net> Operate for Client<R> {
    async fn operate(&mut self) -> Result<(), Fault> {
        let message = content(self.size, self.messages);
        self.messages += 1;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.storage_mut()[..self.size].copy_from_slice(message);
        buffer.set_len(self.size);
        let (sent, buffer) = self.stream.write_all(buffer).await;
        sent?;
        let (received, buffer) = self.stream.read_exact(buffer, self.size).await;
        received?;
        check(&buffer, message)?;
        self.buffer = buffer;
        Ok(())
    }
}

fn check(received: &[u8], sent: &[u8]) -> Result<(), Fault> {
    if received == sent {
        return Ok(());
    }
    let same = received.iter().zip(sent).take_while(|(received, sent)| received == sent).count();
    Err(Fault::Wrong(format!("a message came back with other content from byte {same} on")))
}

/// Starts a task that serves each connection with a task of its own. Returns the address.
fn listen<R: Net, F: Future<Output = io::Result<()>> + Send + 'static>(
    serve: impl Fn(R::TcpStream) -> F + Send + 'static,
) -> io::Result<SocketAddr> {
    let socket = socket::listen((Ipv4Addr::LOCALHOST, 0).into(), socket::Share::No)?;
    let addr = socket.local_addr()?;
    let mut listener = R::listen(socket)?;
    drop(R::spawn(async move {
        // An error ends the server, and the clients find their connections closed.
        while let Ok((stream, _)) = listener.accept().await {
            drop(R::spawn(serve(stream)));
        }
    }));
    Ok(addr)
}

/// Copies until the reader ends, then ends the writer.
async fn copy(mut reader: impl ReadOwned, mut writer: impl WriteOwned) -> io::Result<()> {
    let mut buffer = Buffer::with_capacity(BUFFER_BYTES);
    loop {
        let (read, full) = reader.read(buffer).await;
        if read? == 0 {
            return writer.shutdown().await;
        }
        let (written, empty) = writer.write_all(full).await;
        written?;
        buffer = empty;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_rejects_changed_byte() {
        check(b"abc", b"abc").unwrap();
        let fault = check(b"abx", b"abc").unwrap_err();
        assert!(fault.to_string().contains("byte 2"), "{fault}");
    }
}
