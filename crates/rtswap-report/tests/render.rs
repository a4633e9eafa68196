//! Tables and pages as text.

mod common;

use common::{Run, lane, own, run};
use rtswap_report::{Style, Summary, markdown, table, warnings};
use rtswap_schema::record::Status;

fn gallery() -> Run {
    let mut run = run(vec![
        lane("tokio", 1.0),
        lane("tokio-local", 1.0),
        lane("smol", 1.28).calls(4.0, 0.05),
        lane("compio", 0.8).calls(0.1, 0.0),
        lane("monoio", 0.3).calls(0.06, 0.001),
        lane("tokio-uring", 1.0).lost(
            Status::Unsupported,
            "io_uring_setup: Operation not permitted (os error 1); run outside the container",
        ),
    ]);
    run.workloads.push(own("spawn/tasks=1000", "task", "one task spawned and joined"));
    run
}

fn at(width: usize) -> Style {
    Style { width, ..Style::default() }
}

#[test]
fn table_fits_three_widths() {
    let summary = Summary::of(&gallery().record());
    for width in [80, 110, 160] {
        insta::assert_snapshot!(format!("table-{width}"), table(&summary, &at(width)));
    }
}

#[test]
fn markdown_has_whole_report() {
    let mut run = gallery();
    run.lanes[1].idle_cpu = 0.05;
    insta::assert_snapshot!(markdown(&Summary::of(&run.record())));
}

#[test]
fn table_is_never_wider_than_terminal() {
    let mut run = gallery();
    run.lanes[1].name =
        "tokio?delay_ns=110&threads=12&and=so&on=until&it=is&far=too&long=1".to_owned();
    run.lanes[1].idle_cpu = 0.5;
    let summary = Summary::of(&run.record());
    for width in 64..200 {
        for style in [at(width), Style { unicode: true, ..at(width) }] {
            let text = table(&summary, &style) + &warnings(&summary, &style);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} > {width}\n{text}");
        }
    }
}

#[test]
fn table_in_default_style_is_ascii_without_escapes() {
    let text = table(&Summary::of(&gallery().record()), &Style::default());
    assert!(text.is_ascii(), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn color_changes_no_text() {
    let summary = Summary::of(&gallery().record());
    let plain = Style { unicode: true, ..at(110) };
    let colored = table(&summary, &Style { color: true, ..plain });
    assert!(colored.contains("\u{1b}["));
    let mut stripped = String::new();
    let mut escape = false;
    for c in colored.chars() {
        match (c, escape) {
            ('\u{1b}', _) => escape = true,
            (c, true) => escape = c != 'm',
            (c, false) => stripped.push(c),
        }
    }
    assert_eq!(stripped, table(&summary, &plain));
}

#[test]
fn table_has_best_lane_first() {
    let text = table(&Summary::of(&gallery().record()), &Style::default());
    let at = |lane: &str| text.find(&format!("\n{lane} ")).unwrap();
    let order = ["monoio", "compio", "tokio", "smol", "tokio-uring"].map(at);
    assert!(order.is_sorted(), "{text}");
}

#[test]
fn table_shows_and_explains_paths_of_streams_and_files() {
    let run = run(vec![
        lane("tokio", 1.0).noting("streams", "native").noting("files", "threads"),
        lane("compio", 1.2).noting("streams", "bridged").noting("files", "ring"),
    ]);
    let text = table(&Summary::of(&run.record()), &at(160));
    let row = text.lines().find(|line| line.starts_with("compio")).unwrap();
    assert!(row.contains("bridged") && row.contains("ring"), "{row}");
    assert!(text.contains("streams: native, the runtime's own"));
    let plain = table(&Summary::of(&gallery().record()), &at(160));
    assert!(!plain.contains("streams"), "no column without entries");
}
