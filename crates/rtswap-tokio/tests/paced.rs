//! Workloads that are offered a load at a rate. No test asserts a time.

use std::time::Duration;

use rtswap_lane::host::{Work, run};
use rtswap_lane::{Lane, Prepare, Refusal, SliceDone};
use rtswap_runtime::{Fs, Net};
use rtswap_schema::histogram::decode;
use rtswap_schema::protocol::Pace;
use rtswap_schema::record::Offered;
use rtswap_schema::schedule::Schedule;
use rtswap_schema::workload::Arrivals;
use rtswap_tokio::lanes_of;
use rtswap_workload::{
    Batch, Drive, Family, Fault, Load, Opened, Operate, Param, Resources, Spec, SpecError, Spin,
    Standard, Suite, Visitor, WithFiles, closed, families, paced,
};

/// `pipe/pipeline=P/wrong=W`: two connections whose operations only give way, in pipelines of P.
#[derive(Clone, Debug)]
struct Pipe {
    pipeline: u64,
    wrong: bool,
}

static PIPE: Family = Family::new("pipe", "a pipeline of nothing", "operation", Drive::Lane)
    .params(&[
        Param::number("pipeline", "operations at once", 1, &[1], 100),
        Param::named("wrong", "whether verification fails", &["false", "true"], &[0]),
        Param::RATE,
        Param::ARRIVALS,
    ]);

struct Link(Pipe);

impl Operate for Link {
    fn pipeline(&self) -> u64 {
        self.0.pipeline
    }

    async fn operate(&mut self) -> Result<(), Fault> {
        std::future::ready(()).await;
        if self.0.wrong { Err(Fault::Wrong("on purpose".to_owned())) } else { Ok(()) }
    }
}

impl Opened for Pipe {
    type Open<R: Net> = Vec<Link>;

    async fn open<R: Net>(&self) -> Result<Vec<Link>, Fault> {
        Ok(vec![Link(self.clone()), Link(self.clone())])
    }

    async fn batch<R: Net>(&self, links: &mut Vec<Link>, spin: Spin) -> Result<Batch, Fault> {
        closed::<R, _>(links, 10, spin).await
    }

    async fn paced<R: Net>(
        &self,
        links: &mut Vec<Link>,
        load: &Load,
        spin: Spin,
    ) -> Result<Batch, Fault> {
        paced::<R, _>(links, load, spin).await
    }
}

/// `files`: a workload on files, which has no arrivals.
#[derive(Clone, Debug)]
struct Files;

static FILES: Family = Family::new("files", "nothing", "operation", Drive::Lane);

impl WithFiles for Files {
    type Open<R: Net + Fs> = ();

    async fn open<R: Net + Fs>(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn batch<R: Net + Fs>(&self, (): &mut (), _: Spin) -> Result<Batch, Fault> {
        Ok(Batch::of(1))
    }
}

struct WithPipe;

const OWN: &[&Family] = &[&PIPE, &FILES];

impl Suite for WithPipe {
    const CATALOGUE: &'static [&'static Family] =
        &families::joined::<{ OWN.len() + families::CATALOGUE.len() }>(OWN, families::CATALOGUE);
    const DEFAULT: &'static [&'static str] = &[];
    const QUICK: &'static [&'static str] = &[];

    fn visit<V: Visitor>(
        spec: &Spec,
        given: &Resources,
        visitor: V,
    ) -> Result<V::Output, SpecError> {
        match spec.family().name {
            "pipe" => {
                let wrong = spec.name_of("wrong") == "true";
                Ok(visitor.opened(Pipe { pipeline: spec.get("pipeline"), wrong }))
            }
            "files" => Ok(visitor.with_files(Files)),
            _ => Standard::visit(spec, given, visitor),
        }
    }
}

fn lane(name: &str) -> Lane {
    lanes_of::<WithPipe>().into_iter().find(|lane| lane.name == name).unwrap()
}

/// A slice of 20 ms of a workload, with each operation slowed by `delay_ns`.
fn slice(
    lane_name: &str,
    workload: &str,
    delay_ns: u64,
    pace: Option<Pace>,
) -> Result<SliceDone, Refusal> {
    let cpus = vec![0, 1];
    let order = Prepare { workload: workload.to_owned(), cpus, delay_ns, ..Prepare::default() };
    let Work::Driven(mut slice) = lane(lane_name).prepare(&order)?.work else {
        panic!("the lane drives {workload} itself")
    };
    slice(WINDOW, pace.as_ref())
}

const WINDOW: Duration = Duration::from_millis(20);

fn pace(rate_per_s: f64, arrivals: Arrivals) -> Pace {
    Pace { rate_per_s, arrivals, seed: 7 }
}

fn due(pace: &Pace, parts: usize) -> u64 {
    let part = |part| {
        let all = Schedule::new(pace, part, parts);
        all.take_while(|&due_ns| u128::from(due_ns) < WINDOW.as_nanos()).count() as u64
    };
    (0..parts).map(part).sum()
}

fn latencies(done: &SliceDone) -> u64 {
    done.latency_hdr.as_ref().map_or(0, |text| decode(text).unwrap().len())
}

/// A slice without delay, all of whose operations were done: on a machine that stands still for 250 ms, not the
/// first.
fn complete(lane_name: &str, workload: &str, pace: Pace, due: u64) -> SliceDone {
    let slices = (0..5).map(|_| slice(lane_name, workload, 0, Some(pace)).unwrap());
    let mut last = None;
    for done in slices {
        let is_complete = latencies(&done) == due;
        last = Some(done);
        if is_complete {
            break;
        }
    }
    last.unwrap()
}

/// What holds of each slice whose operations were all done, whenever they ended.
fn assert_complete(done: &SliceDone, due: u64, case: &str) {
    let offered = done.offered.unwrap();
    assert_eq!(offered.ops, due, "{case}");
    assert_eq!(offered.backlog_start, 0, "{case}");
    assert_eq!(offered.backlog_end, due - done.ops, "{case}");
    assert_eq!((offered.late_p99_ns, offered.late_max_ns), (None, None), "{case}");
    assert_eq!(latencies(done), due, "{case}: each operation has a latency");
    assert_eq!(u128::from(done.elapsed_ns), WINDOW.as_nanos(), "{case}");
}

#[test]
fn paced_slice_does_each_operation_that_is_due() {
    // One runtime with two workers, and two shards that each take a part.
    for (name, parts) in [("tokio", 1), ("tokio-local", 2)] {
        for workload in ["channel/pairs=3", "pipe"] {
            for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Burst(5)] {
                let pace = pace(2000.0, arrivals);
                let due = due(&pace, parts);
                let done = complete(name, workload, pace, due);
                assert_complete(&done, due, &format!("{name} {workload} {arrivals}"));
            }
        }
    }
}

#[test]
fn paced_slice_without_operations_lasts_for_its_window() {
    let rare = Pace { seed: 0, ..pace(0.001, Arrivals::Poisson) };
    let done = slice("tokio", "channel/pairs=1", 0, Some(rare)).unwrap();
    assert_complete(&done, 0, "one operation in 1000 s");
}

#[test]
fn pipeline_is_due_with_its_last_operation() {
    // 40 operations, of which the last 8 make no pipeline.
    let done = slice("tokio", "pipe/pipeline=16", 0, Some(pace(2000.0, Arrivals::Constant)));
    let done = done.unwrap();
    assert_eq!(done.offered.unwrap().ops, 32);
    assert_eq!(latencies(&done), 2, "one for each pipeline");
}

#[test]
fn closed_loop_has_no_offered_load() {
    for workload in ["channel/pairs=3", "pipe"] {
        let done = slice("tokio", workload, 0, None).unwrap();
        assert!(done.offered.is_none() && done.ops > 0, "{workload}");
        assert!(u128::from(done.elapsed_ns) >= WINDOW.as_nanos(), "{workload}");
    }
}

#[test]
fn overloaded_lane_reports_backlog_and_gives_up() {
    // A million operations per second of 1 ms each, of which 20,000 are due: 20 s on one CPU.
    let pace = pace(1e6, Arrivals::Constant);
    // Each of the two shards is offered 10,000, which is 1428 pipelines of 7 and 4 operations that make none.
    for (workload, due) in
        [("channel/pairs=2", 20_000), ("pipe", 20_000), ("pipe/pipeline=7", 2 * 1428 * 7)]
    {
        let done = slice("tokio-local", workload, 1_000_000, Some(pace)).unwrap();
        let Offered { ops, backlog_start, backlog_end, .. } = done.offered.unwrap();
        assert_eq!(ops, due, "{workload}: what was not begun was offered, too");
        assert!(backlog_end > backlog_start, "{workload}");
        assert_eq!(backlog_end, ops - done.ops, "{workload}");
        let finished = latencies(&done);
        assert!(finished < ops, "{workload}: {finished} operations of 1 ms each");
        assert!(done.ops < finished, "{workload}: some ended after the window");
    }
}

#[test]
fn paced_slice_fails_verification_like_a_closed_loop() {
    for pace in [None, Some(pace(1000.0, Arrivals::Constant))] {
        let refusal = slice("tokio", "pipe/wrong=true", 0, pace).unwrap_err();
        assert_eq!(refusal, Refusal::Invalid("on purpose".to_owned()));
    }
}

#[test]
fn workload_without_arrivals_refuses_pace() {
    for (name, workload) in [
        ("tokio", "spawn/tasks=2"),
        ("tokio", "yield/tasks=2"),
        ("tokio", "startup"),
        ("tokio", "files"),
        ("native-tokio", "spawn/tasks=2"),
    ] {
        let refusal = slice(name, workload, 0, Some(pace(1000.0, Arrivals::Constant)));
        let Refusal::Unsupported(reason) = refusal.unwrap_err() else {
            panic!("{name} {workload}")
        };
        assert!(reason.contains("cannot be offered a rate"), "{reason}");
        slice(name, workload, 0, None).unwrap();
    }
}

#[test]
fn host_passes_pace_on_and_rejects_rate_of_zero() {
    let prepare = r#"{"order":"prepare","workload":"channel/pairs=1","cpus":[0]}"#;
    for (rate, expected) in [
        ("1000", r#""offered":{"ops":20,"backlog_start":0,"#),
        ("0", r#"{"answer":"failed","status":"failed","reason":"rate_per_s is 0: expected"#),
    ] {
        let pace = format!(r#"{{"rate_per_s":{rate},"arrivals":"constant","seed":1}}"#);
        let slice = format!(r#"{{"order":"slice","ms":20,"pace":{pace}}}"#);
        let mut output = Vec::new();
        let lane = lane("tokio");
        run("1", format!("{prepare}\n{slice}\n").as_bytes(), &mut output, |o| lane.prepare(o));
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains(expected), "{output}");
    }
}
