//! Three workloads for every runtime that rtswap knows, and the [`Suite`] that adds them to its own.
//!
//! A model for workloads outside of the repository of rtswap. It depends on `rtswap` and on what the
//! workloads use.

mod mutex;
mod pipe;
mod timeout;

use rtswap::workload::{Family, Resources, Spec, SpecError, Standard, Suite, Visitor, families};

pub use mutex::Mutex;
pub use pipe::{Client, Pipe};
pub use timeout::Timeout;

/// The workloads of this package, then those of rtswap.
#[derive(Clone, Copy, Debug)]
pub struct Mine;

const OWN: &[&Family] = &[&mutex::FAMILY, &pipe::FAMILY, &timeout::FAMILY];

impl Suite for Mine {
    const CATALOGUE: &'static [&'static Family] =
        &families::joined::<{ OWN.len() + families::CATALOGUE.len() }>(OWN, families::CATALOGUE);
    const DEFAULT: &'static [&'static str] =
        &["mutex/tasks=10", "pipe/size=1024/conns=8", "timeout/tasks=100"];
    const QUICK: &'static [&'static str] = Self::DEFAULT;

    fn visit<V: Visitor>(
        spec: &Spec,
        given: &Resources,
        visitor: V,
    ) -> Result<V::Output, SpecError> {
        match spec.family().name {
            "mutex" => Ok(visitor.driven(Mutex::new(spec))),
            "pipe" => Ok(visitor.opened(Pipe::new(spec))),
            "timeout" => Ok(visitor.driven(Timeout::new(spec))),
            _ => Standard::visit(spec, given, visitor),
        }
    }
}
