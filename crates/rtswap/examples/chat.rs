//! A chat server with a timer, on any runtime: `cargo run --example chat -- smol`.
//!
//! Connect with `nc 127.0.0.1 7878` from several terminals. The server sends every line to every guest, and
//! the number of guests every ten seconds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::Sender;
use rtswap::runtimes::{AsyncStd, Compio, Glommio, Monoio, Smol, Tokio, TokioUring};
use rtswap::{Buffer, Config, Net, ReadOwned, TcpListener, TcpStream, WriteOwned, socket};

type Guests = Arc<Mutex<HashMap<SocketAddr, Sender<String>>>>;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let named = args.next().or(std::env::var("CHAT_RUNTIME").ok());
    let addr = args.next().or(std::env::var("CHAT_ADDR").ok());
    let addr = addr.as_deref().unwrap_or("127.0.0.1:7878");
    let addr = addr.parse().map_err(std::io::Error::other)?;
    match named.as_deref().unwrap_or("tokio") {
        "tokio" => run(&Tokio::default(), addr), // the swap is this one value
        "tokio-local" => run(&Tokio::current_thread(), addr),
        "async-std" => run(&AsyncStd, addr),
        "smol" => run(&Smol::default(), addr),
        "smol-local" => run(&Smol::local(), addr),
        "tokio-uring" => run(&TokioUring::default(), addr),
        "monoio" => run(&Monoio::default(), addr),
        "monoio-epoll" => run(&Monoio::epoll(), addr),
        "compio" => run(&Compio::default(), addr),
        "compio-poll" => run(&Compio::poll(), addr),
        "glommio" => run(&Glommio, addr),
        other => Err(std::io::Error::other(format!("unknown runtime `{other}`"))),
    }
}

fn run<R: Net>(runtime: &R, addr: SocketAddr) -> std::io::Result<()> {
    runtime.block_on(&Config::default(), chat::<R>(addr))?
}

async fn chat<R: Net>(addr: SocketAddr) -> std::io::Result<()> {
    let socket = socket::listen(addr, socket::Share::No)?;
    println!("chatting on {}", socket.local_addr()?);
    let mut listener = R::listen(socket)?;
    let guests = Guests::default();
    let clock = Arc::clone(&guests);
    drop(R::spawn(async move {
        loop {
            R::sleep(Duration::from_secs(10)).await;
            let there = clock.lock().unwrap().len();
            say(&clock, &format!("* {there} here\n"));
        }
    }));
    loop {
        let (stream, guest) = listener.accept().await?;
        drop(R::spawn(host::<R>(stream, guest, Arc::clone(&guests))));
    }
}

/// Sends the lines of all guests to one guest, and this guest's lines to all.
async fn host<R: Net>(stream: R::TcpStream, guest: SocketAddr, guests: Guests) {
    let (mut reader, mut writer) = stream.into_split();
    let (sender, lines) = async_channel::unbounded::<String>();
    guests.lock().unwrap().insert(guest, sender);
    say(&guests, &format!("* {guest} comes\n"));
    drop(R::spawn(async move {
        while let Ok(line) = lines.recv().await {
            if writer.write_all(Buffer::from(line.into_bytes())).await.0.is_err() {
                return;
            }
        }
    }));
    let (mut buffer, mut text) = (Buffer::with_capacity(1024), Vec::new());
    while let (Ok(1..), full) = reader.read(buffer).await {
        text.extend_from_slice(&full);
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            say(&guests, &format!("{guest}: {}", String::from_utf8_lossy(&line)));
        }
        buffer = full;
    }
    guests.lock().unwrap().remove(&guest);
    say(&guests, &format!("* {guest} goes\n"));
}

fn say(guests: &Guests, line: &str) {
    for sender in guests.lock().unwrap().values() {
        // Fails for a guest that is leaving.
        let _ = sender.try_send(line.to_owned());
    }
}
