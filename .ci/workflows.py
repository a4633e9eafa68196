"""Checks what linters do not know, and runs the shell of workflows with hostile input.

    workflows.py lint FOLDER
    workflows.py run FOLDER RTSWAP
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

import workflows_run

ROOT = Path(__file__).resolve().parent.parent
GITHUB = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("docs/ci/*.yml")])
GITLAB = ROOT / "docs/ci/gitlab.yml"
GITHUB.remove(GITLAB)
ACTION = ROOT / "action.yml"


def steps(document):
    if "runs" in document:
        yield from document["runs"]["steps"]
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


def gitlab_blocks():
    jobs = yaml.safe_load(GITLAB.read_text())
    for name, job in jobs.items():
        if isinstance(job, dict) and ("script" in job or "before_script" in job):
            lines = job.get("before_script", []) + job.get("script", [])
            yield name, "\n".join(lines)


def check_rules(path, document):
    """The rules that keep what a pull request brings from having an effect."""
    where = path.relative_to(ROOT)
    if path != ACTION:
        on = document[True]  # YAML 1.1 reads `on` as a truth value.
        assert "pull_request_target" not in on, f"{where}: pull_request_target"
        assert document["permissions"].get("contents") == "read", f"{where}: permissions"
    for step in steps(document):
        run = step.get("run", "")
        assert "${{" not in run, f"{where}: an expression in the text of a command: {run}"
        uses = step.get("uses", "./")
        assert uses == "./" or re.fullmatch(r"actions/[a-z-]+@v\d+", uses), f"{where}: {uses}"


def lint(out):
    blocks = [(str(GITLAB.relative_to(ROOT)), name, text) for name, text in gitlab_blocks()]
    for path in [*GITHUB, ACTION]:
        document = yaml.safe_load(path.read_text())
        check_rules(path, document)
        for step in steps(document):
            if "run" in step:
                blocks.append((str(path.relative_to(ROOT)), step.get("name", "run"), step["run"]))
    bad = 0
    for number, (path, name, text) in enumerate(blocks):
        script = out / f"block-{number}.sh"
        script.write_text("#!/bin/bash\nset -eo pipefail\n" + text)
        # GitLab's variables, and what a step gets, are set elsewhere.
        done = subprocess.run([out / "venv/bin/shellcheck", "-e", "SC2154", script], capture_output=True, text=True)
        if done.returncode != 0:
            bad += 1
            print(f"{path}, {name}:\n{done.stdout}{done.stderr}", file=sys.stderr)
    print(f"shellcheck: {len(blocks)} blocks, {bad} with complaints")
    sys.exit(bad > 0)


if sys.argv[1] == "lint":
    lint(Path(sys.argv[2]))
else:
    workflows_run.main(ROOT, Path(sys.argv[2]), Path(sys.argv[3]))
