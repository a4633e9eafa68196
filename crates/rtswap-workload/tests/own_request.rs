//! The names of workloads with a request of the user's own.

use proptest::prelude::*;
use rtswap_workload::{Rate, Spec, SpecError, Standard, Suite};

fn parse(text: &str) -> Result<Spec, SpecError> {
    Spec::parse(text, Standard::CATALOGUE)
}

fn name(text: &str) -> String {
    parse(text).unwrap().to_string()
}

#[test]
fn path_goes_on_until_a_parameter_follows() {
    let cases = [
        ("http/path=/users/7", "http/conns=32/pipeline=1/path=/users/7"),
        ("http/path=/users/7/conns=8", "http/conns=8/pipeline=1/path=/users/7"),
        ("http/path=/a/b=c/conns/rate=60%", "http/conns=32/pipeline=1/rate=60%/path=/a/b=c/conns"),
        ("http/conns=1/path=/", "http/conns=1/pipeline=1/path=/"),
        ("http/path=/conns=1", "http/conns=1/pipeline=1/path=/"),
        ("http/path=//a//", "http/conns=32/pipeline=1/path=//a//"),
        ("http/path=/a?x=1&y=%2F", "http/conns=32/pipeline=1/path=/a?x=1&y=%2F"),
        ("http/request=search/conns=2", "http/conns=2/pipeline=1/request=search"),
    ];
    for (text, expected) in cases {
        assert_eq!(name(text), expected, "{text}");
        assert_eq!(name(expected), expected);
    }
}

#[test]
fn own_request_has_no_parameters_of_those_that_ship() {
    let spec = parse("http/path=/users/7/rate=20k").unwrap();
    assert!(spec.is_own_request());
    assert_eq!((spec.text("path"), spec.text("request")), (Some("/users/7"), None));
    assert_eq!(spec.rate(), Some(Rate::PerSecond(20_000)));
    let params = spec.params();
    let names: Vec<_> = params.keys().copied().collect();
    assert_eq!(names, ["arrivals", "conns", "path", "pipeline", "rate"]);
    assert_eq!(params["path"].to_string(), "/users/7");
    assert_eq!(spec.closed_loop().to_string(), "http/conns=32/pipeline=1/path=/users/7");
    assert_eq!(spec.number("path"), None);

    let shipped = parse("http").unwrap();
    assert!(!shipped.is_own_request());
    assert!(!shipped.params().contains_key("path"));
    assert!(parse("tcp-echo").unwrap().text("path").is_none());
    assert_ne!(parse("http/path=/a").unwrap(), parse("http/path=/b").unwrap());
}

#[test]
fn parse_says_what_is_wrong_with_a_request() {
    let error = |text| parse(text).unwrap_err().to_string();
    for text in ["http/path=users", "http/path=/a b", "http/path=/<a>", "http/path=/a|b"] {
        assert!(error(text).contains("is not a path that starts with `/`"), "{text}");
    }
    assert!(error("http/request=").contains("the NAME of a section `[http.NAME]`"));
    assert!(error("http/request=a.b").contains("`[http.NAME]`"));
    assert!(error("http/body=json/path=/").starts_with("`body` and `path` exclude each other"));
    assert!(error("http/path=/a/h2=true").contains("sent over HTTP/1.1"));
    assert!(error("http/path=/a/request=b").contains("`path` and `request` exclude each other"));
    assert!(error("tcp-echo/path=/a").contains("has no parameter `path`"));
}

proptest! {
    #[test]
    fn full_name_parses_to_itself(
        path in "/([a-z0-9._~%!$&'()+,;:@?-]{0,4}(=[a-z/]{0,3})?/?){0,6}",
        conns in 1_u32..100,
        rate in proptest::option::of(1_u32..100),
        is_first in any::<bool>(),
    ) {
        // That would be the parameter: such a path goes into a section of rtswap.toml.
        let is_param = |part: &str| {
            let names = parse("http").unwrap().family().params.iter().map(|param| param.name);
            part.split_once('=').is_some_and(|(name, _)| names.clone().any(|known| known == name))
        };
        prop_assume!(!path.split('/').any(is_param));
        let rate = rate.map(|rate| format!("/rate={rate}%")).unwrap_or_default();
        let text = if is_first {
            format!("http/path={path}/conns={conns}{rate}")
        } else {
            format!("http/conns={conns}{rate}/path={path}")
        };
        let spec = parse(&text).unwrap();
        prop_assert_eq!(spec.text("path"), Some(path.as_str()), "{}", text);
        prop_assert_eq!(spec.get("conns"), u64::from(conns));
        let full = spec.to_string();
        let again = parse(&full).unwrap();
        prop_assert_eq!(again, spec);
        prop_assert_eq!(again.to_string(), full);
    }
}
