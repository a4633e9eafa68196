//! A function that is benchmarked with criterion today, as a lane: docs/own-program.md.

use std::hint::black_box;
use std::process::ExitCode;

use rtswap::workload::{
    Batch, Drive, Driven, Family, Fault, Resources, Spec, SpecError, Spin, Suite, Visitor,
};
use rtswap::{Registry, Runtime};

/// The function: in a project of your own it comes from your crate.
fn sum_of_fields(line: &str) -> u64 {
    line.split(',').filter_map(|field| field.trim().parse::<u64>().ok()).sum()
}

const LINE: &str = "1, 22, 333, 4444, 55555, no number, 7";
const CALLS: u64 = 1000;

static FAMILY: Family = Family::new("sum", "one line parsed and summed", "line", Drive::Lane);

#[derive(Clone)]
struct Sum;

impl Driven for Sum {
    async fn batch<R: Runtime>(&self, spin: Spin) -> Result<Batch, Fault> {
        for _ in 0..CALLS {
            let sum = sum_of_fields(black_box(LINE));
            spin.burn();
            if sum != 60_362 {
                return Err(Fault::Wrong(format!("the sum of {LINE:?} is {sum}, not 60362")));
            }
        }
        Ok(Batch::of(CALLS))
    }
}

struct Mine;

impl Suite for Mine {
    const CATALOGUE: &'static [&'static Family] = &[&FAMILY];
    const DEFAULT: &'static [&'static str] = &["sum"];
    const QUICK: &'static [&'static str] = Self::DEFAULT;

    fn visit<V: Visitor>(_: &Spec, _: &Resources, visitor: V) -> Result<V::Output, SpecError> {
        Ok(visitor.driven(Sum))
    }
}

fn main() -> ExitCode {
    rtswap::cli::main(&Registry::of::<Mine>())
}
