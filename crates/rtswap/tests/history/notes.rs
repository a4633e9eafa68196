//! Notes that several clones push and fetch.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Shared, git};

#[test]
fn push_at_the_same_time_loses_nothing() {
    let shared = Shared::new(9);
    let clones = ["a", "b", "c", "d"];
    for (at, clone) in clones.iter().enumerate() {
        shared.clone_as(clone);
        // One commit that is its own, and one that all have measured.
        shared
            .write_notes(clone, &[(at + 1, 1.0 + at as f64 / 100.0), (8, 1.1 + at as f64 / 100.0)]);
    }
    std::thread::scope(|scope| {
        for clone in clones {
            let shared = &shared;
            scope.spawn(move || shared.ok(clone, &["push"]));
        }
    });
    shared.clone_as("reader");
    shared.ok("reader", &["fetch"]);
    let ratios = shared.ratios("reader");
    assert_eq!(ratios[..4], [(1, 1.0), (2, 1.01), (3, 1.02), (4, 1.03)]);
    let note =
        git(&shared.path("reader"), &["notes", "--ref", "rtswap", "show", &shared.commits[8]]);
    assert_eq!(note.lines().filter(|line| !line.is_empty()).count(), 4, "{note}");
}

/// A hook that runs before a push has been sent, and after rtswap has fetched.
fn before_push(clone: &Path, script: &str) {
    let hook = clone.join(".git/hooks/pre-push");
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn push_merges_what_came_between_fetch_and_push() {
    let shared = Shared::new(4);
    let (first, second) = (shared.path("first"), shared.clone_as("second"));
    shared.write_notes("first", &[(1, 1.0)]);
    shared.write_notes("second", &[(2, 1.01)]);
    let script = format!(
        "[ -e {0}/done ] || {{ touch {0}/done; git -C {1} push --quiet origin refs/notes/rtswap; }}",
        shared.case.folder.path().display(),
        second.display()
    );
    before_push(&first, &script);
    shared.ok("first", &["push"]);
    assert!(shared.path("done").exists());
    shared.ok("second", &["fetch"]);
    assert_eq!(shared.ratios("second"), [(1, 1.0), (2, 1.01)]);
}

#[test]
fn push_gives_up_in_the_end_and_keeps_entries() {
    let shared = Shared::new(4);
    let (first, second) = (shared.path("first"), shared.clone_as("second"));
    shared.write_notes("first", &[(1, 1.0)]);
    shared.write_notes("second", &[(2, 1.01)]);
    // Another push is always faster.
    let script = format!(
        "date +%N > {0}/file; cd {0}; git notes --ref rtswap append -m \"$(date +%s%N)\" HEAD; \
         git push --quiet origin refs/notes/rtswap",
        second.display()
    );
    before_push(&first, &script);
    let error = shared.error("first", &["push"], 1);
    // "[rejected] (fetch first)" or, where the two meet, "[remote rejected] (failed to update ref)".
    assert!(error.contains("`origin` refused refs/notes/rtswap 10 times, at last: [re"), "{error}");
    assert!(error.contains("run `rtswap history push` again"), "{error}");
    fs::remove_file(first.join(".git/hooks/pre-push")).unwrap();
    shared.ok("first", &["push"]);
    // The lines of the hook are no entries.
    shared.ok("second", &["fetch"]);
    assert_eq!(shared.ratios("second"), [(1, 1.0), (2, 1.01)]);
}

#[test]
fn push_reports_hook_of_remote_at_once() {
    let shared = Shared::new(2);
    shared.write_notes("first", &[(1, 1.0)]);
    let hook = shared.path("origin.git/hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    let error = shared.error("first", &["push"], 1);
    assert!(error.contains("`origin` does not accept refs/notes/rtswap: "), "{error}");
    assert!(error.contains("pre-receive hook declined"), "{error}");
}

#[test]
fn fetch_keeps_entries_that_are_not_pushed_yet() {
    let shared = Shared::new(4);
    shared.clone_as("second");
    shared.write_notes("first", &[(1, 1.0)]);
    shared.ok("first", &["push"]);
    shared.write_notes("second", &[(1, 1.04), (2, 1.01)]);
    shared.ok("second", &["fetch"]);
    let note =
        git(&shared.path("second"), &["notes", "--ref", "rtswap", "show", &shared.commits[1]]);
    assert_eq!(note.lines().filter(|line| !line.is_empty()).count(), 2, "{note}");
    assert_eq!(shared.ratios("second").len(), 2);
    // Of a clone without its own, a fetch brings those of others.
    shared.clone_as("third");
    let done = shared.ok("third", &["fetch"]);
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "merged refs/notes/rtswap of origin\n");
    assert_eq!(shared.ratios("third"), [(1, 1.0)]);
}

#[test]
fn git_without_identity_adds_and_merges() {
    let shared = Shared::new(3);
    shared.write_notes("first", &[(1, 1.0)]);
    shared.ok("first", &["push"]);
    shared.clone_as("second");
    shared.write_notes("second", &[(2, 1.0)]);
    git(&shared.path("second"), &["config", "user.useConfigOnly", "true"]);
    let mut push = shared.history("second", &["push"]);
    for role in ["AUTHOR", "COMMITTER"] {
        push.env_remove(format!("GIT_{role}_NAME")).env_remove(format!("GIT_{role}_EMAIL"));
    }
    push.assert().success();
    let author = git(&shared.path("second"), &["log", "-1", "--format=%an", "refs/notes/rtswap"]);
    assert_eq!(author, "rtswap");
}
