use rtswap_runtime::{Config, Runtime};

use crate::{Batch, Drive, Family, Fault, Outside, Spin};

/// `startup`: build the runtime, run a future that is ready, shut the runtime down.
#[derive(Clone, Copy, Debug)]
pub struct Startup;

pub(crate) static FAMILY: Family = Family {
    name: "startup",
    operation: "one runtime built, a ready future run on it, and the runtime dropped",
    unit: "start",
    params: &[],
    drive: Drive::Lane,
    uses: &[],
};

impl Outside for Startup {
    fn batch<R: Runtime>(&self, config: &Config, spin: Spin) -> Result<Batch, Fault> {
        const ANSWER: u64 = 42;
        let answer = R::block_on(config, async {
            spin.burn();
            ANSWER
        })?;
        if answer != ANSWER {
            return Err(Fault::Wrong(format!("the future returned {answer}, not {ANSWER}")));
        }
        Ok(Batch::of(1))
    }
}
