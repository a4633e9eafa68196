//! The names of the workloads that ship. Records are keyed by them, so they must not change.

use rtswap_workload::{Spec, SpecError, Standard, Suite};

fn parse(text: &str) -> Result<Spec, SpecError> {
    Spec::parse(text, Standard::CATALOGUE)
}

#[test]
fn display_writes_recorded_name() {
    let echo = "tcp-echo/size=1024/conns=1";
    assert_eq!(parse("tcp-echo/conns=1").unwrap().to_string(), echo);
    let http = "http/body=plaintext/conns=32/pipeline=1";
    assert_eq!(parse("http").unwrap().to_string(), http);
    assert_eq!(parse("http/h2=false").unwrap().to_string(), http);
    assert_eq!(parse("http/h2=true").unwrap().to_string(), format!("{http}/h2=true"));
}

#[test]
fn matrix_has_every_combination_once() {
    for family in Standard::CATALOGUE {
        let specs = Spec::matrix(family);
        let expected: usize = family.params.iter().map(|param| param.values.len()).product();
        assert_eq!(specs.len(), expected);
        for (at, spec) in specs.iter().enumerate() {
            assert_eq!(&parse(&spec.to_string()).unwrap(), spec);
            assert!(!specs[..at].contains(spec), "{spec} is there twice");
        }
    }
}

#[test]
fn parse_error_names_nearest_workload() {
    let error = parse("tpc-echo").unwrap_err().to_string();
    assert!(error.contains("did you mean `tcp-echo`?"), "{error}");
}
