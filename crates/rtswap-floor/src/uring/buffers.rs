//! Buffers that the kernel chooses from when data arrives.

use std::alloc::{Layout, alloc_zeroed};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The group of the only ring of buffers.
pub(super) const GROUP: u16 = 0;

/// No kernel has larger pages where this runs; the ring has to begin on one.
const PAGE: usize = 64 << 10;

/// A block of buffers, and the ring that they are offered to the kernel in.
///
/// Its memory is never freed: a request may still write to it for a moment after its ring was closed,
/// and a shard lives as long as its process.
pub(super) struct Buffers {
    ring: *mut BufRingEntry,
    memory: *mut u8,
    mask: u16,
    size: u32,
    /// Where the next buffer goes; the kernel sees it when it is published.
    tail: u16,
    /// Buffers that the kernel has.
    free: usize,
}

impl Buffers {
    /// Offers `count` buffers, a power of two, of `size` bytes.
    pub fn register(submitter: &Submitter<'_>, count: u16, size: u32) -> io::Result<Self> {
        let layout = Layout::array::<BufRingEntry>(usize::from(count))
            .and_then(|layout| layout.align_to(PAGE))
            .map_err(io::Error::other)?;
        #[expect(clippy::cast_ptr_alignment, reason = "the layout is aligned to a page")]
        // SAFETY: the layout is of at least one entry, so not of size zero.
        let ring = unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>();
        if ring.is_null() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // SAFETY: the ring is of `count` zeroed entries, and is never freed.
        unsafe { submitter.register_buf_ring_with_flags(ring as u64, count, GROUP, 0) }?;
        let memory = memory(usize::from(count) * size as usize);
        let mut buffers = Self { ring, memory, mask: count - 1, size, tail: 0, free: 0 };
        for id in 0..count {
            buffers.give(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Where a buffer is.
    pub fn at(&self, id: u16) -> *mut u8 {
        // Within the block for any buffer of the ring, and only the kernel goes there.
        self.memory.wrapping_add(usize::from(id & self.mask) * self.size as usize)
    }

    /// How many the kernel can choose from, as far as is known.
    pub fn free(&self) -> usize {
        self.free
    }

    /// The kernel chose one.
    pub fn taken(&mut self) {
        self.free -= 1;
    }

    /// Gives one back, once it is [published](Self::publish).
    pub fn give(&mut self, id: u16) {
        let address = self.at(id) as u64;
        // SAFETY: the mask keeps it within the ring. The kernel reads entries before the published
        // tail only; this is one after it, because no more buffers are given than there are.
        let entry = unsafe { &mut *self.ring.add(usize::from(self.tail & self.mask)) };
        entry.set_addr(address);
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.free += 1;
    }

    /// Lets the kernel see what was given.
    pub fn publish(&self) {
        // SAFETY: the first entry is valid, and its tail is read by the kernel, and written here only,
        // as an atomic.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Memory that is never freed, from the start of a cache line.
pub(super) fn memory(bytes: usize) -> *mut u8 {
    const LINE: usize = 64;
    let memory = vec![0; bytes + LINE].leak().as_mut_ptr();
    memory.wrapping_add(memory.align_offset(LINE))
}
