//! An echo server on one thread and one level-triggered epoll: a lower bound on the cost of a lane.
//! It does not handle full socket buffers, so it serves small messages only.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};

const LISTENER: u64 = u64::MAX;

/// Starts the server on a thread, pinned to `cpu` if there is one. Returns its address and the
/// thread's ID.
pub fn serve(size: usize, cpu: Option<usize>) -> (SocketAddr, i32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (send_id, id) = channel();
    thread::spawn(move || {
        if let Some(cpu) = cpu {
            let mut cpus = CpuSet::new();
            cpus.set(cpu);
            sched_setaffinity(None, &cpus).unwrap();
        }
        send_id.send(gettid().as_raw_nonzero().get()).unwrap();
        run(&listener, size);
    });
    (addr, id.recv().unwrap())
}

fn run(listener: &TcpListener, size: usize) {
    listener.set_nonblocking(true).unwrap();
    let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    let watch = |source: &dyn std::os::fd::AsFd, data| {
        epoll::add(&epoll, source.as_fd(), EventData::new_u64(data), EventFlags::IN)
    };
    watch(listener, LISTENER).unwrap();
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::<Event>::with_capacity(1024);
    let mut buffer = vec![0; size];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in &events {
            let data = event.data;
            if data.u64() == LISTENER {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nodelay(true).unwrap();
                        stream.set_nonblocking(true).unwrap();
                        watch(&stream, streams.len() as u64).unwrap();
                        streams.push(Some(stream));
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                continue;
            }
            let slot = &mut streams[data.u64() as usize];
            let Some(stream) = slot else { continue };
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => *slot = None,
                Ok(count) => {
                    if stream.write_all(&buffer[..count]).is_err() {
                        *slot = None;
                    }
                }
            }
        }
    }
}
