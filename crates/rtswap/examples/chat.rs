//! A chat server with a timer, on whichever runtime you name: `cargo run --example chat -- smol`.
//!
//! Talk to it with `nc 127.0.0.1 7878`, from as many terminals as you like. Every line goes to
//! everybody; every ten seconds the server says how many are there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::Sender;
use rtswap::runtimes::{
    AsyncStd, Compio, CompioPoll, Glommio, Monoio, MonoioEpoll, Smol, SmolLocal, Tokio, TokioLocal,
    TokioUring,
};
use rtswap::{Buffer, Config, ReadOwned, Runtime, TcpListener, TcpStream, WriteOwned, socket};

type Guests = Arc<Mutex<HashMap<SocketAddr, Sender<String>>>>;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let named = args.next().or(std::env::var("CHAT_RUNTIME").ok());
    let addr = args.next().or(std::env::var("CHAT_ADDR").ok());
    let addr = addr.as_deref().unwrap_or("127.0.0.1:7878");
    let addr = addr.parse().map_err(std::io::Error::other)?;
    match named.as_deref().unwrap_or("tokio") {
        "tokio" => run::<Tokio>(addr), // the swap is this one type
        "tokio-local" => run::<TokioLocal>(addr),
        "async-std" => run::<AsyncStd>(addr),
        "smol" => run::<Smol>(addr),
        "smol-local" => run::<SmolLocal>(addr),
        "tokio-uring" => run::<TokioUring>(addr),
        "monoio" => run::<Monoio>(addr),
        "monoio-epoll" => run::<MonoioEpoll>(addr),
        "compio" => run::<Compio>(addr),
        "compio-poll" => run::<CompioPoll>(addr),
        "glommio" => run::<Glommio>(addr),
        other => Err(std::io::Error::other(format!("no runtime is called {other}"))),
    }
}

fn run<R: Runtime>(addr: SocketAddr) -> std::io::Result<()> {
    R::block_on(&Config::default(), chat::<R>(addr))?
}

async fn chat<R: Runtime>(addr: SocketAddr) -> std::io::Result<()> {
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

/// Says everybody's lines to one guest, and this guest's lines to everybody.
async fn host<R: Runtime>(stream: R::TcpStream, guest: SocketAddr, guests: Guests) {
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
        // A guest that is just leaving hears nothing more.
        let _ = sender.try_send(line.to_owned());
    }
}
