//! `io_uring(7)`: multishot accept and receive, into buffers that are sent from.

mod buffers;
mod connection;
mod shard;

use std::io;

use io_uring::{Builder, IoUring};
use rtswap_lane::host::Program;
use rtswap_lane::{Prepare, Refusal};
use rtswap_runtime::ring;

use crate::Floor;
use crate::order::{Task, sharded, start};

pub(crate) const FLOOR: Floor = Floor {
    name: "floor-uring",
    about: "io_uring by hand, multishot with provided buffers",
    driver: "io_uring",
    available,
    prepare,
};

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.6";

/// Requests that are queued before the kernel is entered, at most.
const SUBMISSIONS: u32 = 256;
/// Completions that fit in the ring. The kernel keeps more of them, at a price; but it hands out about
/// twenty at a time, so that there are never nearly as many.
const COMPLETIONS: u32 = 1024;
/// Buffers that data is received into: as many as one turn takes, and those that it gives back, and
/// not more, because they are used in turn and have to fit in the cache.
const BUFFERS: usize = 64;
/// Bytes of all of them at most.
const BUFFERS_BYTES: usize = 4 << 20;

/// A way to set up the ring.
struct Level {
    flags: &'static str,
    set: fn(&mut Builder),
    /// Whether a kernel that takes these flags has multishot receive and rings of buffers (6.0).
    multishot: bool,
}

/// The best first. No kernel thread polls for submissions: its CPU time would buy ours.
const LEVELS: &[Level] = &[
    Level {
        flags: "single_issuer, defer_taskrun, no_sqarray, submit_all",
        set: |ring| {
            ring.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray().setup_submit_all();
        },
        multishot: true,
    },
    Level {
        flags: "single_issuer, defer_taskrun",
        set: |ring| {
            ring.setup_single_issuer().setup_defer_taskrun();
        },
        multishot: true,
    },
    Level {
        flags: "single_issuer, coop_taskrun",
        set: |ring| {
            ring.setup_single_issuer().setup_coop_taskrun();
        },
        multishot: true,
    },
    Level { flags: "none", set: |_| (), multishot: false },
];

/// How a ring is set up on this kernel.
#[derive(Clone, Copy, Debug)]
struct Setup {
    level: usize,
    buffers: u16,
    buffer_bytes: u32,
}

impl Setup {
    /// The best that the kernel takes.
    fn probe(task: &Task) -> io::Result<Self> {
        let mut setup = Self::at(0, task);
        loop {
            match setup.ring() {
                Ok(_) => return Ok(setup),
                Err(error) if setup.level + 1 == LEVELS.len() => {
                    return Err(ring::explain(&error, SINCE));
                }
                Err(_) => setup.level += 1,
            }
        }
    }

    fn at(level: usize, task: &Task) -> Self {
        let most = (BUFFERS_BYTES / task.read_bytes).min(BUFFERS);
        // The ring of buffers has a power of two of entries.
        let buffers = 1 << most.ilog2();
        Self { level, buffers, buffer_bytes: task.read_bytes as u32 }
    }

    fn multishot(&self) -> bool {
        LEVELS[self.level].multishot
    }

    fn ring(&self) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_cqsize(COMPLETIONS);
        (LEVELS[self.level].set)(&mut builder);
        builder.build(SUBMISSIONS)
    }
}

fn available() -> io::Result<()> {
    IoUring::new(SUBMISSIONS).map(drop).map_err(|error| ring::explain(&error, SINCE))
}

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    let task = Task::of(order)?;
    let setup = Setup::probe(&task).map_err(|error| Refusal::Unsupported(error.to_string()))?;
    serve(order, &task, setup)
}

fn serve(order: &Prepare, task: &Task, setup: Setup) -> Result<Program, Refusal> {
    let multishot = if setup.multishot() { "accept, receive" } else { "no" };
    let mut notes = vec![
        ("setup", LEVELS[setup.level].flags.to_owned()),
        ("ring_entries", format!("{SUBMISSIONS}, {COMPLETIONS} completions")),
        ("multishot", multishot.to_owned()),
    ];
    if setup.multishot() {
        notes.push(("buffers", format!("{} × {} bytes", setup.buffers, setup.buffer_bytes)));
    }
    start(order, task, &sharded(order), FLOOR.driver, notes, move |listener, ready| {
        shard::serve(setup, listener, ready)
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::thread;

    use rtswap_lane::host::Work;

    use super::*;

    /// Also as on kernels without what makes it fast.
    #[test]
    fn every_level_echoes() {
        const BYTES: usize = 3_000_000;
        if let Err(error) = available() {
            println!("skipped: {error}");
            return;
        }
        let order = Prepare { workload: "tcp-echo".into(), cpus: vec![0], ..Prepare::default() };
        let task = Task::of(&order).unwrap();
        for (level, Level { flags, .. }) in LEVELS.iter().enumerate() {
            let setup = Setup::at(level, &task);
            if let Err(error) = setup.ring() {
                println!("{flags} skipped: {error}");
                continue;
            }
            let program = serve(&order, &task, setup).unwrap();
            assert_eq!(program.info.notes["setup"], *flags);
            let Work::Served(server) = &program.work else { panic!("it is served") };
            let message: Vec<u8> = (0..BYTES).map(|place| (place % 251) as u8).collect();
            thread::scope(|scope| {
                for _ in 0..4 {
                    let mut writer = TcpStream::connect(server.addrs()[0]).unwrap();
                    let mut reader = writer.try_clone().unwrap();
                    let message = &message;
                    scope.spawn(move || writer.write_all(message).unwrap());
                    scope.spawn(move || {
                        let mut back = vec![0; BYTES];
                        reader.read_exact(&mut back).unwrap();
                        assert!(back == *message, "{flags}");
                    });
                }
            });
        }
    }
}
