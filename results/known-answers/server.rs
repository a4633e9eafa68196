//! An echo server with a delay for each message: `server ADDR DELAY_NS`. A thread for each connection.

use std::arch::asm;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// A chain of multiplications in a register: each waits for the one before.
fn spin(turns: u64) {
    let mut value = turns | 1;
    for _ in 0..turns {
        // SAFETY: it changes one register.
        unsafe { asm!("imul {0}, {0}", inout(reg) value, options(nomem, nostack, pure)) };
    }
    std::hint::black_box(value);
}

/// The turns that take so long: the fastest of many tries, so that no other program counts.
fn turns(delay_ns: f64) -> u64 {
    const TURNS: u64 = 200_000;
    let tries = (0..50).map(|_| {
        let begin = Instant::now();
        spin(TURNS);
        begin.elapsed().as_nanos()
    });
    let fastest = tries.min().unwrap() as f64;
    (delay_ns / (fastest / TURNS as f64)).round() as u64
}

fn serve(mut stream: TcpStream, turns: u64) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = stream.read(&mut bytes) {
        if count == 0 || stream.write_all(&bytes[..count]).is_err() {
            return;
        }
        spin(turns);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (addr, delay) = (arguments.next().unwrap(), arguments.next().unwrap());
    let turns = turns(delay.parse().unwrap());
    let listener = TcpListener::bind(addr).unwrap();
    for stream in listener.incoming().flatten() {
        stream.set_nodelay(true).unwrap();
        std::thread::spawn(move || serve(stream, turns));
    }
}
