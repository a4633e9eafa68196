"""Runs the `run:` steps of a job as GitHub's runner does, without its network.

The environment holds nothing but PATH and what the runner sets. `cargo install` puts the given rtswap in place, and `gh`
and `curl` answer from files and write down what they were asked.
"""

import json
import os
import re
import shutil
import subprocess

import yaml

CARGO = """#!/bin/bash
set -e
export HOME=$REAL_HOME
printf 'cargo %s\\n' "$*" >>"$LOG.cargo"
case $1 in
install)
    while [ "$1" != --root ]; do shift; done
    mkdir -p "$2/bin" && ln -sf "$RTSWAP" "$2/bin/rtswap" ;;
metadata)
    if [ -f "$ANSWERS/metadata" ]; then cat "$ANSWERS/metadata"; exit; fi
    exec "$REAL_CARGO" "$@" ;;
*) exec "$REAL_CARGO" "$@" ;;
esac
"""

# The name of an answer: method and path, with `-` for all that a file's name should not have.
GH = """#!/usr/bin/env python3
import json, os, re, sys
method, path, fields, args = "GET", "", {}, sys.argv[1:]
assert args.pop(0) == "api", args
while args:
    arg = args.pop(0)
    if arg == "-X": method = args.pop(0)
    elif arg in ("-f", "-F"):
        name, value = args.pop(0).split("=", 1)
        fields[name] = open(value[1:]).read() if arg == "-F" and value[0] == "@" else value
    elif not arg.startswith("--"): path = arg
assert os.environ["GH_TOKEN"] == "secret"
with open(os.environ["LOG"], "a") as log: log.write(json.dumps([method, path, fields]) + "\\n")
if method == "GET":
    name = re.sub("[^a-z0-9]+", "-", path.split("?")[0])
    sys.stdout.buffer.write(open(os.path.join(os.environ["ANSWERS"], name), "rb").read())
"""

CURL = """#!/bin/bash
for last; do :; done
printf 'curl %s\\n' "$*" >>"$LOG.curl"
name=${last##*/}
cat "$ANSWERS/${name//[^a-z0-9]/-}"
"""


class Runner:
    """A machine with a workspace, from which jobs run."""

    def __init__(self, folder, rtswap, workspace):
        self.folder, self.workspace = folder, workspace
        for name in ("bin", "home", "temp", "answers"):
            (folder / name).mkdir(parents=True)
        self.log = folder / "log"
        real = shutil.which("cargo")
        fakes = {"cargo": CARGO, "gh": GH, "curl": CURL}
        for name, text in fakes.items():
            # The environment of steps is empty, so what the fakes need is part of them.
            values = {"LOG": self.log, "ANSWERS": folder / "answers", "RTSWAP": rtswap, "REAL_CARGO": real,
                      "REAL_HOME": os.environ["HOME"]}
            inner = folder / "bin" / f".{name}"
            inner.write_text(text)
            lines = [f"export {key}='{value}'" for key, value in values.items()]
            (folder / "bin" / name).write_text("\n".join(["#!/bin/bash", *lines, f'exec "{inner}" "$@"', ""]))
            for path in (inner, folder / "bin" / name):
                path.chmod(0o755)
        self.path = f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        for folder_of in {os.path.dirname(real), os.path.dirname(shutil.which("git"))}:
            if folder_of not in self.path.split(":"):
                self.path += f":{folder_of}"

    def answer(self, name, content):
        """What is answered to a request: by path for `gh`, by the last part of the address for `curl`."""
        name = re.sub("[^a-z0-9]+", "-", name)
        path = self.folder / "answers" / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    def asked(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def job(self, file, name=None, event=None, variables=None, inputs=None, outputs=None):
        """Runs a job, or an action."""
        document = yaml.safe_load(file.read_text())
        job = document["runs"] if name is None else document["jobs"][name]
        event_file = self.folder / "event.json"
        event_file.write_text(json.dumps(event or {}))
        summary = self.folder / "summary"
        summary.write_text("")
        base = {
            "PATH": self.path, "HOME": self.folder / "home", "CI": "true", "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": event_file, "GITHUB_REPOSITORY": "owner/repo", "GITHUB_WORKSPACE": self.workspace,
            "GITHUB_STEP_SUMMARY": summary, "RUNNER_TEMP": self.folder / "temp", "RUNNER_OS": "Linux",
            "GITHUB_ACTION_PATH": file.parent,
            # Of a toolchain that is not in the home folder of steps.
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or f"{os.environ['HOME']}/.rustup", **(variables or {}),
        }
        github = {"event": event or {}, "token": "secret", "server_url": "https://github.com", "run_id": 1,
                  "repository": "owner/repo"}
        context = {"github": github, "inputs": inputs or {}, "steps": {}, "needs": outputs or {}, "runner": {"os": "Linux"},
                   "matrix": (job.get("strategy", {}).get("matrix", {}).get("include") or [{}])[0]}
        result = Result(summary)
        paths = self.path
        for number, step in enumerate(job["steps"]):
            if not holds(step.get("if"), context, result.code):
                continue
            if "run" not in step:
                result.uses.append(step["uses"].split("@")[0])
                continue
            files = {}
            for variable in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_ENV"):
                files[variable] = self.folder / f"{variable}-{number}"
                files[variable].write_text("")
            levels = [document.get("env", {}), job.get("env", {}), step.get("env", {})]
            own = {key: value(str(text), context) for level in levels for key, text in level.items()}
            script = self.folder / f"step-{number}.sh"
            script.write_text(step["run"])
            env = {key: str(it) for key, it in {**base, **files, **own, "PATH": paths}.items()}
            done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], env=env, text=True,
                                  cwd=self.workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            result.output += done.stdout
            result.code = result.code or done.returncode
            for line in files["GITHUB_PATH"].read_text().splitlines():
                paths = f"{line}:{paths}"
            found = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
            context["steps"][step.get("id", number)] = {"outputs": found}
        given = job.get("outputs") or {key: it["value"] for key, it in document.get("outputs", {}).items()}
        result.outputs = {key: value(text, context) for key, text in given.items()}
        return result


    def gitlab(self, file, name, variables):
        """Runs a job of GitLab: the scripts of a job whose `extends` has been followed."""
        jobs = yaml.safe_load(file.read_text())
        job = {**jobs[jobs[name]["extends"]], **jobs[name]}
        script = self.folder / "gitlab.sh"
        script.write_text("\n".join(job["before_script"] + job["script"]))
        env = {"PATH": self.path, "HOME": self.folder / "home", "CI": "true", "CI_PROJECT_DIR": self.workspace,
               "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or f"{os.environ['HOME']}/.rustup",
               "CI_JOB_NAME": name, **jobs["variables"], **variables}
        env = {key: str(it) for key, it in env.items()}
        return subprocess.run(["bash", "-eo", "pipefail", script], env=env, cwd=self.workspace, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)


class Result:
    def __init__(self, summary):
        self.code, self.output, self.uses, self.outputs, self._summary = 0, "", [], {}, summary

    @property
    def summary(self):
        return self._summary.read_text()

    def commands(self):
        """The workflow commands that the runner obeys: none between `stop-commands` and its token."""
        token, found = None, []
        for line in self.output.splitlines():
            line = line.strip()
            if token:
                token = None if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.startswith(("::", "##[")):
                found.append(line)
        return found


def look_up(path, context):
    at = context
    for name in path.split("."):
        at = at.get(name, "") if isinstance(at, dict) else ""
    return at


def value(text, context):
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", lambda it: str(look_up(it[1], context)), text)


def holds(condition, context, code):
    terms = re.sub(r"^\$\{\{|\}\}$", "", str(condition or "success()").strip()).split("&&")
    terms = [term.strip() for term in terms]
    if "!cancelled()" not in terms and code != 0:
        return False
    return all(term in ("!cancelled()", "success()") or look_up(term, context) for term in terms)
