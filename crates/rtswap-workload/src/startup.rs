use rtswap_runtime::{Config, Runtime};

use crate::{Batch, Fault, Outside, Spin};

/// `startup`: build the runtime, run a future that is ready, shut the runtime down.
#[derive(Clone, Copy, Debug)]
pub struct Startup;

impl Outside for Startup {
    fn batch<R: Runtime>(&self, runtime: &R, config: &Config, spin: Spin) -> Result<Batch, Fault> {
        const ANSWER: u64 = 42;
        let answer = runtime.block_on(config, async {
            spin.burn();
            ANSWER
        })?;
        if answer != ANSWER {
            return Err(Fault::Wrong(format!("the future returned {answer}, not {ANSWER}")));
        }
        Ok(Batch::of(1))
    }
}
