//! Requests of the user's own: the sections `[http.NAME]` of `rtswap.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use rtswap_harness::record::{Expect, HttpRequest, Kind, Plan, WorkloadPlan};
use serde::Deserialize;

use crate::cli::Exit;

/// The file, in the current folder.
const FILE: &str = "rtswap.toml";

/// What is read of the file. Other sections are for others.
#[derive(Debug, Default, Deserialize)]
struct Sections {
    #[serde(default)]
    http: BTreeMap<String, Section>,
}

/// One request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    payload: Option<String>,
    #[serde(default)]
    expect: Expect,
    status: Option<u16>,
    body: Option<String>,
    body_sha256: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Gives workloads with the parameter `request` the request of that name.
///
/// # Errors
/// A usage error if the file has no such section, or it is wrong.
pub(super) fn read_into(workloads: &mut [WorkloadPlan]) -> Result<()> {
    read_from(Path::new(FILE), workloads).map_err(|why| Exit::Usage(why).into())
}

fn read_from(file: &Path, workloads: &mut [WorkloadPlan]) -> Result<(), String> {
    for workload in workloads {
        let Some(name) = workload.params.get("request").map(ToString::to_string) else { continue };
        workload.request = Some(named(file, &name)?);
    }
    Ok(())
}

/// Fails if the reference ships: it does not know requests of the user's own.
pub(super) fn check_reference(plan: &Plan) -> Result<()> {
    let Some(own) = plan.workloads.iter().find(|workload| workload.request.is_some()) else {
        return Ok(());
    };
    let is_reference = |name: &str| name == plan.reference;
    let kind = plan.lanes.iter().find(|lane| is_reference(&lane.name)).map(|lane| lane.kind);
    if kind == Some(Kind::Command) {
        return Ok(());
    }
    let (name, reference) = (&own.name, &plan.reference);
    Err(Exit::Usage(format!(
        "`{name}` is for servers of your own, and `{reference}`, the reference, ships with rtswap: name a server of your \
         own with --reference, as in --lane base=serve:COMMAND --reference base"
    ))
    .into())
}

fn named(file: &Path, name: &str) -> Result<HttpRequest, String> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        format!("cannot read {shown} ({error}): its section [http.{name}] is to describe `request={name}`")
    })?;
    let mut sections: Sections = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("{shown}, line {line}: {}", rtswap_schema::one_line(error.message()))
    })?;
    let Some(section) = sections.http.remove(name) else {
        let known: Vec<_> = sections.http.keys().map(|name| format!("[http.{name}]")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("{shown} has no section [http.{name}]; of this kind it has {known}"));
    };
    let Section { method, path, headers, payload, expect, status, body, body_sha256 } = section;
    let request = HttpRequest { method, path, headers, payload, expect, status, body, body_sha256 };
    request.check().map_err(|error| format!("{shown}, [http.{name}]: {error}"))?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, name: &str) -> Result<HttpRequest, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.toml");
        fs::write(&file, text).unwrap();
        let read = named(&file, name);
        let shown = file.display().to_string();
        read.map_err(|error| error.replace(&shown, "r.toml"))
    }

    #[test]
    fn named_reads_section_and_leaves_others() {
        let text = r#"
            [gate]
            tolerance = "2%"
            [http.search]
            method = "POST"
            path = "/search?q=x"
            headers = { content-type = "application/json" }
            payload = '{"q":"x"}'
            expect = "status"
            [http.home]
            path = "/"
        "#;
        let search = read(text, "search").unwrap();
        assert_eq!((search.method.as_str(), search.path.as_str()), ("POST", "/search?q=x"));
        assert_eq!(search.headers["content-type"], "application/json");
        assert_eq!(
            (search.payload.as_deref(), search.expect),
            (Some(r#"{"q":"x"}"#), Expect::Status)
        );
        assert_eq!(read(text, "home"), Ok(HttpRequest::get("/")));
    }

    #[test]
    fn named_says_what_is_wrong() {
        let error = |text, name| read(text, name).unwrap_err();
        assert_eq!(
            error("[http.a]\npath='/'\n[http.b]\npath='/'", "c"),
            "r.toml has no section [http.c]; of this kind it has [http.a], [http.b]"
        );
        assert_eq!(error("", "c"), "r.toml has no section [http.c]; of this kind it has none");
        let unknown = error("[http.a]\npath = '/'\nbdy = 'x'", "a");
        assert!(unknown.starts_with("r.toml, line 3: unknown field `bdy`"), "{unknown}");
        let missing = error("[http.a]\nmethod = 'GET'", "a");
        assert!(missing.contains("missing field `path`"), "{missing}");
        assert!(error("[http.a\n", "a").starts_with("r.toml, line 1: "));
        assert_eq!(
            error("[http.a]\npath = 'users'", "a"),
            "r.toml, [http.a]: invalid path \"users\": expected `/` and no space or control character, as in /users/7"
        );
        let error = named(Path::new("/nonexistent/rtswap.toml"), "a").unwrap_err();
        assert!(error.starts_with("cannot read /nonexistent/rtswap.toml (No such file"), "{error}");
    }
}
