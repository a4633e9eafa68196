//! `poll(2)`.
//!
//! The kernel is told of every connection in every call, so that its price grows with their number.
//! The list is made anew only when a connection comes, goes, or changes between reading and writing.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rtswap_lane::host::Program;
use rtswap_lane::{Prepare, ReadySignal, Refusal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::accept::{Accepted, DONT_BLOCK, PAUSE, accept};
use crate::connection::{Turn, Unsent};
use crate::order::{Task, buffer_note, sharded, start};
use crate::{Floor, always};

pub(crate) const FLOOR: Floor =
    Floor { name: "floor-poll", about: "poll by hand", driver: "poll", available: always, prepare };

fn prepare(order: &Prepare) -> Result<Program, Refusal> {
    let task = Task::of(order)?;
    let bytes = task.read_bytes;
    start(
        order,
        &task,
        &sharded(order),
        FLOOR.driver,
        vec![buffer_note(bytes)],
        move |listener, ready| serve(&listener, ready, bytes),
    )
}

/// What has to be done to the list before the next call.
#[derive(Debug, Default)]
struct Change {
    opened: Vec<OwnedFd>,
    /// By their place in the list, ascending.
    closed: Vec<usize>,
    exhausted: bool,
    /// A connection waits for something else than it did.
    turned: bool,
}

impl Change {
    fn is_none(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty() && !self.exhausted && !self.turned
    }
}

fn serve(listener: &TcpListener, ready: &ReadySignal, bytes: usize) -> io::Result<()> {
    let mut sockets: Vec<OwnedFd> = Vec::new();
    let mut unsent: Vec<Unsent> = Vec::new();
    let mut buffer = vec![0; bytes];
    let mut paused = false;
    ready.send();
    loop {
        let listener = (!paused).then_some(listener);
        let change = watch(listener, &sockets, &mut unsent, &mut buffer)?;
        // Nothing changed while paused: the pause is over. So it is when a descriptor is free.
        paused = (change.exhausted && change.closed.is_empty())
            || (paused && change.closed.is_empty() && !change.is_none());
        // From the back, so that the places before stay what they are.
        for &place in change.closed.iter().rev() {
            sockets.swap_remove(place);
            unsent.swap_remove(place);
        }
        unsent.resize_with(sockets.len() + change.opened.len(), Unsent::default);
        sockets.extend(change.opened);
    }
}

/// Serves until something changes, or for a pause if there is no listener.
fn watch(
    listener: Option<&TcpListener>,
    sockets: &[OwnedFd],
    unsent: &mut [Unsent],
    buffer: &mut [u8],
) -> io::Result<Change> {
    let timeout = match listener {
        Some(_) => None,
        None => Some(Timespec::try_from(PAUSE).expect("a pause is short")),
    };
    let mut list = Vec::with_capacity(sockets.len() + 1);
    list.extend(sockets.iter().zip(&*unsent).map(|(socket, unsent)| {
        let flags = if unsent.is_empty() { PollFlags::IN } else { PollFlags::OUT };
        PollFd::new(socket, flags)
    }));
    list.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
    let mut change = Change::default();
    loop {
        let mut ready = match poll(&mut list, timeout.as_ref()) {
            Ok(0) => return Ok(change),
            Ok(ready) => ready,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for (place, watched) in list.iter().enumerate() {
            if watched.revents().is_empty() {
                continue;
            }
            match unsent.get_mut(place) {
                None => {
                    let listener = listener.expect("it is ready");
                    // More than one where asking in vain costs less than another call.
                    for _ in 0..=sockets.len() / 64 {
                        match accept(listener, DONT_BLOCK)? {
                            Accepted::One(socket) => change.opened.push(socket),
                            Accepted::None => break,
                            Accepted::Exhausted => {
                                change.exhausted = true;
                                break;
                            }
                        }
                    }
                }
                Some(unsent) if unsent.is_empty() => match unsent.echo(watched, buffer) {
                    Turn::Done | Turn::More => {}
                    Turn::Blocked => change.turned = true,
                    Turn::Ended => change.closed.push(place),
                },
                Some(unsent) => match unsent.flush(watched) {
                    Turn::Blocked => {}
                    Turn::Done | Turn::More => change.turned = true,
                    Turn::Ended => change.closed.push(place),
                },
            }
            ready -= 1;
            if ready == 0 {
                break;
            }
        }
        if !change.is_none() {
            return Ok(change);
        }
    }
}
