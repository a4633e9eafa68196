"""What the shell of the workflows does, with pull requests that are hostile."""

import io
import json
import re
import subprocess
import zipfile

from workflows_runner import Runner

# A server that answers `tcp-echo`; `WORK` slows it down.
SERVER = """use std::io::{Read, Write};
fn main() {
    let listener = std::net::TcpListener::bind(std::env::args().nth(1).unwrap()).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = stream.read(&mut bytes) {
                (0..WORK).for_each(|n| { std::hint::black_box(n); });
                if n == 0 || stream.write_all(&bytes[..n]).is_err() { return; }
            }
        });
    }
}
const WORK: u64 = 0;
"""
CONFIG = """[gate]
run = "{exe} {addr}"
workloads = ["tcp-echo/conns=2"]
tolerance = "5%"
budget = "5s"
"""
VERDICTS = {3: "regression", 4: "inconclusive"}
MARKER = "<!-- rtswap gate -->"
# A file that appears shows that a name was run as a command.
HOSTILE = "$(touch${IFS}pwned)`touch${IFS}pwned`"


class Check:
    def __init__(self, root, folder, rtswap):
        self.root, self.folder, self.rtswap = root, folder, rtswap
        self.origin, self.work = folder / "origin", folder / "work"

    def git(self, *args, at=None):
        config = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *config, *args], cwd=at or self.work, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def repository(self):
        """A server whose branches change a comment, and slow it down; and a clone as a runner has it."""
        self.origin.mkdir(parents=True)
        (self.origin / "src").mkdir()
        write = lambda name, text: (self.origin / name).write_text(text)  # noqa: E731
        write("Cargo.toml", '[package]\nname = "echo"\nversion = "0.1.0"\nedition = "2021"\n')
        write("Cargo.lock", 'version = 4\n\n[[package]]\nname = "echo"\nversion = "0.1.0"\n')
        write("src/main.rs", SERVER)
        write("rtswap.toml", CONFIG)
        self.git("init", "-q", at=self.origin)
        commits = {}
        changes = {"main": SERVER, "comment": SERVER + "// A comment.\n", "slow": SERVER.replace("= 0", "= 200_000")}
        for name, text in changes.items():
            if name != "main":
                branch = HOSTILE if name == "slow" else name
                self.git("checkout", "-q", "-b", branch, "main", at=self.origin)
            write("src/main.rs", text)
            self.git("add", ".", at=self.origin)
            self.git("commit", "-qm", name, at=self.origin)
            commits[name] = self.git("rev-parse", "HEAD", at=self.origin)
        self.git("tag", "v0.1.0", "main", at=self.origin)
        self.git("checkout", "-q", "main", at=self.origin)
        self.git("clone", "-q", str(self.origin), str(self.work), at=self.folder)
        self.runner = Runner(self.folder / "runner", self.rtswap, self.work)
        return commits

    def no_trace(self):
        found = [path for path in self.folder.rglob("*pwned*") if ".git" not in path.parts]
        assert not found, found

    def event(self, sha, of_fork=True):
        pulls = [] if of_fork else [{"number": 7, "head": {"sha": sha}}]
        run = {"id": 5, "head_sha": sha, "head_branch": HOSTILE, "pull_requests": pulls, "event": "pull_request",
               "head_repository": {"full_name": "fork/repo"}, "html_url": "https://github.com/owner/repo/actions/runs/5",
               "display_title": "`touch pwned` $(touch pwned)"}
        return {"workflow_run": run}

    def comment(self, event, files, comments=(), size=None):
        """Runs comment.yml on an artifact with these files."""
        run = event["workflow_run"]
        mine = {"sha": run["head_sha"], "ref": HOSTILE, "repo": {"full_name": "fork/repo"}}
        pulls = [{"number": 3, "head": {**mine, "repo": None}}, {"number": 4, "head": {**mine, "ref": "other"}},
                 {"number": 7, "head": mine}]
        # Two pages, as `gh api --paginate` prints them.
        self.runner.answer("repos/owner/repo/pulls", json.dumps(pulls[:1]).encode() + json.dumps(pulls[1:]).encode())
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
        artifact = {"id": 11, "expired": False, "size_in_bytes": size or len(archive.getvalue())}
        artifacts = [artifact] if files else []
        self.runner.answer("repos/owner/repo/actions/runs/5/artifacts", {"artifacts": artifacts})
        self.runner.answer("repos/owner/repo/actions/artifacts/11/zip", archive.getvalue())
        self.runner.answer("repos/owner/repo/issues/7/comments", list(comments))
        for name in ("record.jsonl", "comment.md", "body.md", "gate.zip"):
            (self.work / name).unlink(missing_ok=True)
        result = self.runner.job(self.root / "docs/ci/comment.yml", "comment", event)
        assert result.code == 0, result.output
        assert result.commands() == [], result.commands()
        self.no_trace()
        return [it for it in self.runner.asked() if it[0] != "GET"]


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", text)


def check_inert(body):
    """Nothing in the text notifies people, loads an image, leads elsewhere or ends the fold."""
    text = without_code(body)
    assert not re.search(r"(^|\W)@\w", text), text
    assert "<img" not in text and "<script" not in text, text
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", text)
    assert all(link.startswith("https://github.com/owner/repo/") for link in links), links
    assert text.count("<details>") == text.count("</details>"), text
    assert text.count("<!--") == 1, text


def hostile(record):
    """A record whose names and reasons are what a pull request would like to see run."""
    bad = "::error::x\n::set-env name=PATH::pwned\n\n@everyone `touch pwned` $(touch pwned) </details> <img src=x> " \
          "![x](https://example.org/x) <!-- @owner"
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    header = lines[0]
    header["environment"]["command"] = ["rtswap", bad, "\n\n@everyone\n\n"]
    header["environment"]["cpu_model"] = bad
    for side in ("base", "head"):
        header["plan"]["gate"][side]["asked"] = bad
    name = header["plan"]["workloads"][0]["name"]
    text = "\n".join(json.dumps(line) for line in lines)
    failure = {"kind": "lane-failure", "workload": name, "lane": "head", "round": 0, "status": "failed", "reason": bad}
    alone = [lines[0], failure]
    return text, "\n".join(json.dumps(line) for line in alone)


def check_gate(check, commits):
    """gate.yml: identical code passes without a record; a slower head fails with one."""
    gate = check.root / "docs/ci/gate.yml"
    record = check.work / "gate.jsonl"
    variables = {"GITHUB_BASE_REF": "main", "GITHUB_HEAD_REF": HOSTILE}
    event = {"pull_request": {"title": "`touch pwned` $(touch pwned)", "head": {"ref": HOSTILE}}}
    check.git("checkout", "-q", commits["comment"])
    result = check.runner.job(gate, "gate", event, variables)
    assert result.code == 0 and "load the same code" in result.summary, result.output
    assert not record.exists()
    check.git("checkout", "-q", commits["slow"])
    result = check.runner.job(gate, "gate", event, variables)
    # On a busy machine so short a gate may be inconclusive: what is checked is that the code is what was said.
    verdict = VERDICTS.get(result.code)
    assert verdict and f"**{verdict}" in result.summary, (result.code, result.output)
    assert record.exists()
    assert result.uses == ["actions/checkout", "actions/cache", "actions/upload-artifact"], result.uses
    said = re.compile(rf"::(error|warning) title=rtswap gate::({verdict}|tcp-echo)")
    assert result.commands() and all(said.match(line) for line in result.commands()), result.commands()
    check.no_trace()
    return record, verdict


def check_comment(check, commits, record, verdict):
    """comment.yml: one comment on the right pull request, whatever the artifact holds."""
    real = {"gate.jsonl": record.read_text()}
    for of_fork in (True, False):
        [[method, path, fields]] = check.comment(check.event(commits["slow"], of_fork), real)
        assert (method, path) == ("POST", "repos/owner/repo/issues/7/comments")
        assert fields["body"].startswith(MARKER) and f"**{verdict}" in fields["body"]
        check_inert(fields["body"])
    event = check.event(commits["slow"])
    comments = [{"id": 20, "user": {"login": "mallory"}, "body": MARKER},
                {"id": 21, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\nold"}]
    [[method, path, _]] = check.comment(event, real, comments)
    assert (method, path) == ("PATCH", "repos/owner/repo/issues/comments/21")
    # Without a record, only what stands there is updated.
    assert check.comment(event, {}) == []
    [[_, _, fields]] = check.comment(event, {}, comments)
    assert "There is no record" in fields["body"]
    # An archive that unpacks to more, one that says it is larger, names that lead out of the folder, no record at all.
    for files, size in [({"gate.jsonl": "0" * 30_000_000}, None), (real, 30_000_000),
                        ({"../../pwned": "x", "/tmp/pwned": "x"}, None)]:
        assert check.comment(event, files, size=size) == []
    assert check.comment(event, {"gate.jsonl": "::error::@everyone\n"}, comments)[0][0] == "PATCH"
    assert (check.work / "record.jsonl").stat().st_size < 20_000_000
    for text in hostile(record):
        [[_, _, fields]] = check.comment(event, {"gate.jsonl": text})
        assert "To repeat" in fields["body"], fields["body"]
        check_inert(fields["body"])
    # A head that has moved on has no comment.
    assert check.comment(check.event("0" * 40), real) != []
    moved = check.event(commits["slow"])
    moved["workflow_run"]["head_branch"] = "elsewhere"
    assert check.comment(moved, real) == []


def check_action(check, commits):
    """action.yml: inputs are values, and outputs say how it ended."""
    defaults = {"head": "HEAD", "inconclusive": "fail", "strict": "false"}
    run = lambda **inputs: check.runner.job(  # noqa: E731
        check.root / "action.yml", variables={"GITHUB_BASE_REF": "main"}, inputs={**defaults, **inputs})
    check.git("checkout", "-q", commits["slow"])
    for name in ("base", "head", "workload", "tolerance", "budget", "config", "inconclusive"):
        result = run(**{name: HOSTILE})
        assert (result.code, result.outputs["outcome"]) == (2, "failed"), (name, result.output)
    assert run(version=HOSTILE, head=commits["comment"]).code == 0
    check.no_trace()
    assert run(base="--help").code == 2
    result = run(budget="3s", workload=" tcp-echo/conns=2\n", tolerance="4%", strict="true")
    assert result.outputs["outcome"] == VERDICTS.get(result.code), (result.code, result.output)
    assert re.search(r"gate-\w+/gate.jsonl$", result.outputs["record"]), result.outputs
    result = run(head=commits["comment"])
    assert (result.code, result.outputs) == (0, {"outcome": "pass", "record": ""}), result.output
    # A second decides nothing.
    result = run(budget="1s", inconclusive="pass")
    assert (result.code, result.outputs["outcome"]) in [(0, "inconclusive"), (3, "regression")], result.output


def check_history(check, commits):
    """history.yml: what was measured arrives in the notes of the remote repository."""
    file = check.root / "docs/ci/history.yml"
    check.git("checkout", "-q", commits["slow"])
    (check.work / "gate.jsonl").unlink(missing_ok=True)
    result = check.runner.job(file, "measure")
    assert (result.code, result.outputs) == (0, {"anchor": "v0.1.0"}), result.output
    result = check.runner.job(file, "store", outputs={"measure": {"outputs": result.outputs}})
    assert result.code == 0, result.output
    note = check.git("notes", "--ref", "rtswap", "show", commits["slow"], at=check.origin)
    assert "v0.1.0" in note, note


def check_nightly(check, record):
    """nightly.yml: nothing for the newest version; an issue, then its update, for a slower one."""
    file, runner = check.root / "docs/ci/nightly.yml", check.runner
    runner.answer("metadata", {"packages": [{"name": "tokio", "version": "1.50.0"}]})
    versions = [("1.9.0", False), ("1.50.0", False), ("1.51.0", True), ("2.0.0-rc.1", False), ("$(touch pwned)", False)]
    index = "\n".join(json.dumps({"vers": version, "yanked": yanked}) for version, yanked in versions)
    runner.answer("tokio", index.encode())
    result = runner.job(file, "measure")
    assert result.code == 0 and "1.50.0 in Cargo.lock, 1.50.0 published" in result.output, result.output
    runner.answer("metadata", {"packages": []})
    assert runner.job(file, "measure").code == 1
    (runner.folder / "answers/metadata").unlink()
    text, _ = hostile(record)
    (check.work / "gate-tokio.jsonl").write_text(text)
    issues = [{"number": 8, "user": {"login": "mallory"}, "body": "<!-- rtswap nightly tokio -->"},
              {"number": 9, "user": {"login": "github-actions[bot]"}, "body": None}]
    for method, path in [("POST", "repos/owner/repo/issues"), ("PATCH", "repos/owner/repo/issues/9")]:
        runner.answer("repos/owner/repo/issues", issues)
        result = runner.job(file, "report")
        assert (result.code, result.commands()) == (0, []), result.output
        [[*asked, fields]] = [it for it in runner.asked() if it[0] != "GET"]
        assert asked == [method, path], asked
        check_inert(fields["body"])
        issues[1]["body"] = fields["body"]
    check.no_trace()


def check_gitlab(check, commits, record):
    """gitlab.yml: the exit code is that of the gate, and one note is written, then updated."""
    file, runner = check.root / "docs/ci/gitlab.yml", check.runner
    variables = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": commits["main"], "CI_COMMIT_SHA": commits["comment"],
                 "CI_COMMIT_REF_NAME": HOSTILE, "CI_MERGE_REQUEST_TITLE": HOSTILE}
    (check.work / "gate.jsonl").unlink(missing_ok=True)
    done = runner.gitlab(file, "gate", variables)
    assert done.returncode == 0 and "load the same code" in done.stdout, done.stdout
    done = runner.gitlab(file, "gate", {**variables, "CI_COMMIT_SHA": commits["slow"]})
    assert done.returncode in VERDICTS, done.stdout
    assert "tcp-echo" in (check.work / "gate.xml").read_text()
    (check.work / "gate.jsonl").write_text(hostile(record)[0])
    note = {"CI_API_V4_URL": "https://gitlab.example.org/api/v4", "CI_MERGE_REQUEST_PROJECT_ID": "1",
            "CI_MERGE_REQUEST_IID": "2", "RTSWAP_NOTE_TOKEN": "secret"}
    notes = [{"id": 20, "author": {"id": 8}, "body": MARKER}, {"id": 21, "author": {"id": 9}, "body": MARKER}]
    url = "https://gitlab.example.org/api/v4/projects/1/merge_requests/2/notes"
    for present, expected in [(notes[:1], f"-X POST .* {url}$"), (notes, f"-X PUT .* {url}/21$")]:
        for name, content in {"notes?per-page=100": present, "user": {"id": 9}, "notes": {}, "21": {}}.items():
            runner.answer(name, content)
        done = runner.gitlab(file, "gate-note", note)
        assert done.returncode == 0, done.stdout
        asked = (runner.folder / "log.curl").read_text()
        assert re.search(expected, asked, re.MULTILINE) and "secret" not in asked, asked
        body = json.loads((check.work / "body.json").read_text())["body"]
        assert body.startswith(MARKER), body
        check_inert(body)
    assert not (check.work / "curl.conf").exists()
    check.no_trace()


def main(root, out, rtswap):
    folder = (out / "machine").resolve()
    subprocess.run(["rm", "-rf", folder], check=True)
    check = Check(root, folder, rtswap)
    commits = check.repository()
    record, verdict = check_gate(check, commits)
    kept = folder / "kept.jsonl"
    kept.write_bytes(record.read_bytes())
    check_comment(check, commits, kept, verdict)
    check_nightly(check, kept)
    check_action(check, commits)
    check_history(check, commits)
    check_gitlab(check, commits, kept)
    print("gate, comment, nightly, action, history and GitLab: their shell does what it should, and hostile names do nothing")
