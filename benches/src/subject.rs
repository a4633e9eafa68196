//! A workload on a lane, in a process of its own.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rtswap_harness::descendants::Tag;
use rtswap_harness::lane::{Lane, LaneError, Launch};
use rtswap_harness::machine::topology::{Placement, Topology};
use rtswap_harness::record::Status;
use rtswap_harness::{backend, machine, plan};
use rtswap_load::{Config, Generator, Session};
use rtswap_schema::workload::{Drive, Resources, Spec};

/// Orders count in milliseconds; two of them, so that the batch that ends a slice late is not all of it.
const LANE_LEAST: Duration = Duration::from_millis(2);
/// Enough round trips of all connections, the first of which find caches cold.
const LOAD_LEAST: Duration = Duration::from_millis(5);

/// A lane that was made ready for a workload. Dropping it ends its process.
pub(crate) struct Subject {
    // Before the lane: connections are closed before the process goes.
    load: Option<Load>,
    lane: Lane,
    /// What an operation took at last, in seconds.
    op_s: f64,
}

struct Load {
    session: Session,
    generator: Generator,
}

/// Why there is nothing to measure.
pub(crate) enum Missing {
    /// The machine or the lane cannot do it.
    LeftOut(String),
    /// Something is broken.
    Broken(String),
}

impl Subject {
    pub fn start(program: &Path, workload: &Spec, lane: &str) -> Result<Self, Missing> {
        let Placement { server: server_cpus, load: load_cpus } =
            Topology::of(&machine::cpus()).placement();
        let command = [program.as_os_str(), "lane".as_ref(), lane.as_ref()];
        let command = command.map(Into::into).to_vec();
        let launch = Launch { command, delay_ns: 0, process_clock: false, one_address: false };
        let mut lane = Lane::start(
            &launch,
            &Tag::new(),
            &workload.to_string(),
            Resources::new(),
            &server_cpus,
            0,
        )?;
        let ready = lane.ready(&AtomicBool::new(false))?;
        let load = match workload.drive() {
            Drive::Lane => None,
            Drive::Generator(_) => {
                let broken = |error: String| Missing::Broken(error);
                lane.check_addresses(&ready)?;
                let target = backend::target(&plan::workload(workload, None), ready.addresses());
                let generator = Generator::new(Config::new(load_cpus))
                    .map_err(|error| broken(format!("cannot start the load generator: {error}")))?;
                let session = generator
                    .connect(target)
                    .map_err(|error| broken(lane.explain(&error.to_string())))?;
                Some(Load { session, generator })
            }
        };
        Ok(Self { load, lane, op_s: 0.0 })
    }

    /// How long `ops` operations take.
    ///
    /// A lane works for a time and not for a number of operations, and so does the generator: a fixed
    /// number on each connection would end with most of them idle. So this asks for as long as `ops`
    /// operations should take and scales what was done in it.
    ///
    /// # Errors
    /// What the verification found, or why the lane is gone.
    pub fn run(&mut self, ops: u64) -> Result<Duration, String> {
        let least = if self.load.is_some() { LOAD_LEAST } else { LANE_LEAST };
        let mut window = Duration::from_secs_f64(self.op_s * ops as f64).max(least);
        loop {
            let (done, elapsed) = self.slice(window)?;
            if done > 0 {
                self.op_s = elapsed.as_secs_f64() / done as f64;
                return Ok(elapsed.mul_f64(ops as f64 / done as f64));
            }
            // The machine kept a short window from its CPU, or a message takes longer than that. One
            // that hangs is found by the generator.
            window *= 2;
        }
    }

    /// Operations done, and in what time.
    fn slice(&mut self, window: Duration) -> Result<(u64, Duration), String> {
        if let Some(Load { session, generator }) = &mut self.load {
            let slice = generator
                .slice(session, window / 10, window, || ())
                .map_err(|error| self.lane.explain(&error.to_string()))?;
            return Ok((slice.ops, slice.elapsed));
        }
        let slice = self.lane.slice(window, None, &AtomicBool::new(false));
        let slice = slice.map_err(|error| reason(error).1)?;
        if slice.ops == 0 {
            return Err("it answered a slice in which nothing was done".to_owned());
        }
        Ok((slice.ops, Duration::from_nanos(slice.elapsed_ns)))
    }
}

impl From<LaneError> for Missing {
    fn from(error: LaneError) -> Self {
        match reason(error) {
            (Status::Unsupported | Status::Skipped, why) => Self::LeftOut(why),
            (_, why) => Self::Broken(why),
        }
    }
}

fn reason(error: LaneError) -> (Status, String) {
    match error {
        LaneError::Failure(status, why) => (status, why),
        LaneError::Cancelled => unreachable!("nothing here cancels"),
    }
}
