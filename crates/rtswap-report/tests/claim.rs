//! The claims about uvloop, judged on simulated runs with known ratios.

mod common;

use common::{ECHO, Lane, Run, lane, run};
use rtswap_report::claim::{Finding, Judgement, claims, claims_in_markdown, judge};
use rtswap_report::{Style, Summary, sections};
use rtswap_schema::record::Status;

/// uvloop is 3.8 times as fast as asyncio, 1.5 times as fast as gevent, 2.4 times as fast as node and
/// as fast as Go.
fn lanes() -> Vec<Lane> {
    vec![
        lane("uvloop", 1.0),
        lane("asyncio", 3.8),
        lane("gevent", 1.5),
        lane("node", 2.4),
        lane("go", 1.05),
        lane("tokio", 0.5),
    ]
}

fn judged(run: &Run) -> Vec<Judgement> {
    judge(&Summary::of(&run.record()))
}

fn of<'a>(judged: &'a [Judgement], than: &str) -> &'a Judgement {
    judged.iter().find(|it| it.claim.than == than).unwrap()
}

#[test]
fn judge_compares_each_claim_with_its_lane() {
    let judged = judged(&run(lanes()));
    let findings: Vec<_> = judged.iter().map(|it| (it.claim.than, it.finding)).collect();
    assert_eq!(
        findings,
        [
            ("gevent", Finding::DoesNotHold),
            ("node", Finding::Holds),
            ("go", Finding::Holds),
            ("asyncio", Finding::Holds),
        ]
    );
    for (than, ratio) in [("gevent", 1.5), ("node", 2.4), ("go", 1.05), ("asyncio", 3.8)] {
        let it = of(&judged, than);
        let measured = it.ratio.unwrap();
        assert!((measured.ratio / ratio - 1.0).abs() < 0.03, "{than}: {measured:?}");
        assert!(measured.lo < measured.ratio && measured.ratio < measured.hi.unwrap());
        let rates = it.subject_ops_per_s.unwrap() / it.other_ops_per_s.unwrap();
        assert!((rates / ratio - 1.0).abs() < 0.05, "{than}: {rates}");
        assert_eq!((it.workload.as_str(), it.why.as_deref()), (ECHO, None));
    }
    assert!((of(&judged, "gevent").published_ratio.unwrap() - 3.475).abs() < 0.01);
}

#[test]
fn judge_leaves_claim_of_missing_lane_undecided() {
    let mut lanes = lanes();
    lanes[2] = lane("gevent", 1.5).lost(Status::Skipped, "gevent is missing; install it");
    let judged = judged(&run(lanes));
    let gevent = of(&judged, "gevent");
    assert_eq!(gevent.finding, Finding::Undecided);
    assert_eq!(gevent.why.as_deref(), Some("gevent skipped: gevent is missing; install it"));
    assert_eq!(of(&judged, "node").finding, Finding::Holds);
}

#[test]
fn judge_decides_nothing_without_uvloop() {
    let mut lanes = lanes();
    lanes[0] = lane("uvloop", 1.0).lost(Status::Failed, "it crashed");
    let judged = judged(&run(lanes));
    assert_eq!(judged.len(), 4);
    assert!(judged.iter().all(|it| it.finding == Finding::Undecided && it.ratio.is_none()));
    assert!(judged[0].why.as_ref().unwrap().contains("uvloop failed: it crashed"));
}

#[test]
fn judge_leaves_claim_undecided_if_generator_is_bottleneck() {
    let mut run = run(lanes());
    run.load_ns = 9_000.0;
    let judged = judged(&run);
    let go = of(&judged, "go");
    assert_eq!(go.finding, Finding::Undecided);
    assert!(
        go.why
            .as_ref()
            .unwrap()
            .contains("the load generator was the bottleneck for uvloop and go")
    );
}

#[test]
fn judge_decides_nothing_with_too_few_rounds() {
    let mut run = run(lanes());
    run.rounds = 4;
    let judged = judged(&run);
    assert!(judged.iter().all(|it| it.finding == Finding::Undecided));
    assert!(judged[0].why.as_ref().unwrap().contains("4 of at least 6"));
}

#[test]
fn judge_decides_nothing_without_control() {
    let mut run = run(lanes());
    run.control = None;
    let judged = judged(&run);
    assert_eq!(judged.len(), 4);
    for it in judged {
        assert_eq!(it.finding, Finding::Undecided);
        assert!(it.why.as_ref().unwrap().contains("control"), "{it:?}");
    }
}

#[test]
fn judge_ignores_other_reference() {
    let others = run(vec![lane("tokio", 1.0), lane("uvloop", 2.0), lane("node", 2.4)]);
    let summary = Summary::of(&others.record());
    assert!(judge(&summary).is_empty());
    assert!(!sections(&summary, None, "rtswap").contains_key("claims"));
}

#[test]
fn sections_have_claims() {
    let mut lanes = lanes();
    lanes[2] = lane("gevent", 1.5).lost(Status::Skipped, "gevent is missing; install it");
    let summary = Summary::of(&run(lanes).record());
    let section = &sections(&summary, Some("claim"), "rtswap report")["claim/claims"];
    assert!(section.contains(&claims_in_markdown(&summary)));
    insta::assert_snapshot!("claims_in_markdown", claims_in_markdown(&summary));
}

#[test]
fn claims_lose_least_important_columns_on_narrow_terminal() {
    let summary = Summary::of(&run(lanes()).record());
    let shown = |width| claims(&summary, &Style { width, ..Style::default() });
    insta::assert_snapshot!("claims-160", shown(160));
    let heads = |width| shown(width).lines().skip(2).take(2).collect::<String>();
    assert!(heads(160).contains("uvloop,") && heads(160).contains("of 2016"));
    assert!(!heads(120).contains("uvloop,") && heads(120).contains("of 2016"));
    assert!(!heads(60).contains("of 2016") && heads(60).contains("verdict"));
    assert!(shown(120).contains("at least twice as fast as gevent"));
    let narrow = shown(80);
    assert!(narrow.contains(">= 2 x gevent"), "{narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
}
