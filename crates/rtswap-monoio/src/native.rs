//! By hand, on monoio alone.

use std::future::Future;
use std::io;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use rtswap_lane::native::Native;
use rtswap_lane::{Orders, Up};
use rtswap_runtime::Config;
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};

use crate::{ENTRIES, Monoio, MonoioEpoll};

/// The two differ in the driver, which is a type parameter of monoio's runtime.
macro_rules! native {
    ($name:ident, $monoio_driver:ty) => {
        impl Native for $name {
            fn tcp_echo(
                _config: &Config,
                listener: std::net::TcpListener,
                echo: TcpEcho,
                up: &Up,
            ) -> io::Result<()> {
                start!($monoio_driver).block_on(as_task(serve(listener, echo, up.clone())))
            }

            fn sleeps(_config: &Config, sleep: Sleep, orders: Orders) -> io::Result<()> {
                start!($monoio_driver).block_on(as_task(sleeps(sleep, orders)));
                Ok(())
            }

            fn spawns(_config: &Config, spawn: Spawn, orders: Orders) -> io::Result<()> {
                start!($monoio_driver).block_on(as_task(spawns(spawn, orders)));
                Ok(())
            }
        }
    };
}

macro_rules! start {
    ($monoio_driver:ty) => {
        RuntimeBuilder::<$monoio_driver>::new().with_entries(ENTRIES).enable_timer().build()?
    };
}

native!(Monoio, IoUringDriver);
native!(MonoioEpoll, LegacyDriver);

/// As a task, as the adapter's lane has it: what `block_on` is given is polled in another way.
async fn as_task<F: Future + 'static>(main: F) -> F::Output {
    monoio::spawn(main).await
}

async fn serve(listener: std::net::TcpListener, echo: TcpEcho, up: Up) -> io::Result<()> {
    // As monoio's own `bind` leaves it: the ring waits for the socket.
    listener.set_nonblocking(monoio::utils::is_legacy())?;
    let listener = TcpListener::from_std(listener)?;
    up.tell();
    loop {
        let (mut stream, _) = listener.accept().await?;
        monoio::spawn(async move {
            let mut buffer = Vec::with_capacity(echo.buffer_bytes());
            loop {
                // Fills the capacity, from the start, and cuts the vector to what it has read.
                let (read, full) = stream.read(buffer).await;
                let Ok(1..) = read else { return };
                let (written, empty) = stream.write_all(full).await;
                if written.is_err() {
                    return;
                }
                buffer = empty;
            }
        });
    }
}

async fn sleeps(sleep: Sleep, mut orders: Orders) {
    while let Some(mut slice) = orders.next().await {
        while slice.goes_on() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    monoio::spawn(async move {
                        let start = Instant::now();
                        monoio::time::sleep(asked).await;
                        (start.elapsed(), begin.elapsed())
                    })
                })
                .collect();
            let mut ends = Vec::with_capacity(tasks.len());
            for task in tasks {
                ends.push(task.await);
            }
            slice.take(sleep.check(ends.into_iter()));
        }
        slice.end();
    }
}

async fn spawns(spawn: Spawn, mut orders: Orders) {
    while let Some(mut slice) = orders.next().await {
        while slice.goes_on() {
            slice.take(batch(spawn).await);
        }
        slice.end();
    }
}

async fn batch(spawn: Spawn) -> Result<Batch, Fault> {
    let mut tasks = Vec::with_capacity(spawn.tasks() as usize);
    for number in 0..spawn.tasks() {
        tasks.push(monoio::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
