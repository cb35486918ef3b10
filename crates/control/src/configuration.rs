//! `tollgate.yaml`: the process's own settings, and the objects that files own.
//!
//! Reading reports every mistake with its file, line and field. Applying makes the store's file-owned objects those of
//! the files: what both have is changed where it differs, what only the store has is removed.

mod apply;
mod check;
mod governance;
mod node;
mod objects;
mod process;
mod reader;
mod secrets;

use std::fmt;
use std::path::{Path, PathBuf};

pub use apply::{Applied, ApplyError, apply};
pub use governance::{FileBudget, FileLimit, FilePlace, FileScope};
pub use objects::{
    FileDeployment, FileKey, FileModel, FileObjects, FileOrganization, FileProvider, FileTeam, KeyHolder,
    Located,
};
pub use process::{
    DatabaseSettings, Durability, LimitSettings, LogFormat, LogSettings, OtlpSettings, ProcessSettings,
    TlsSettings,
};

use node::Node;
use reader::Reader;

/// A mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigurationProblem {
    pub file: PathBuf,
    /// Counted from 1; absent when the file as a whole is meant.
    pub line: Option<u64>,
    /// For example `organizations[0].models[1].deployments[0].weight`; empty for the file as a whole.
    pub field: String,
    pub message: String,
}

impl fmt::Display for ConfigurationProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(formatter, ": {}", self.field)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// A configuration that was read without a mistake.
#[derive(Debug, Default)]
pub struct ReadConfiguration {
    pub process: ProcessSettings,
    /// Absent when the file names no objects: then nothing in the store is owned by files, and nothing is removed.
    pub objects: Option<FileObjects>,
}

/// Looks up environment variables.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `tollgate.yaml` and the objects that it names, and checks everything that can be checked without a store.
///
/// # Errors
/// All mistakes at once, by file and line.
pub fn read(
    path: &Path,
    environment: Environment<'_>,
) -> Result<ReadConfiguration, Vec<ConfigurationProblem>> {
    let mut problems = Vec::new();
    let configuration = read_all(path, environment, &mut problems).unwrap_or_default();
    if problems.is_empty() {
        return Ok(configuration);
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

fn read_all(
    path: &Path,
    environment: Environment<'_>,
    problems: &mut Vec<ConfigurationProblem>,
) -> Option<ReadConfiguration> {
    let mut root = read_file(path, problems)?;
    let objects = root.take("objects");
    let mut reader = Reader { file: path, environment, problems };
    let process = process::read(&mut reader, &root);
    let mut read = ReadConfiguration { process, objects: None };
    if let Some(node) = objects {
        let mut objects = FileObjects::default();
        match node.text() {
            Some(directory) => {
                let directory = path.parent().unwrap_or(Path::new("")).join(directory);
                read_directory(&directory, &mut reader, &node, &mut objects);
            }
            None => objects::read(&mut reader, &node, "objects", &mut objects),
        }
        check::check(&objects, problems);
        read.objects = Some(objects);
    }
    Some(read)
}

fn read_file(path: &Path, problems: &mut Vec<ConfigurationProblem>) -> Option<Node> {
    let mut wrong = |line: Option<u64>, message: String| {
        problems.push(ConfigurationProblem { file: path.into(), line, field: String::new(), message });
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(None, format!("cannot be read: {error}")))
        .ok()?;
    node::parse(&text).map_err(|(line, message)| wrong(line, message)).ok()
}

/// All YAML files of a directory, by name.
fn read_directory(directory: &Path, reader: &mut Reader<'_>, node: &Node, objects: &mut FileObjects) {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            reader.wrong(
                node,
                "objects",
                format!("the directory {} cannot be read: {error}", directory.display()),
            );
            return;
        }
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_yaml).collect();
    paths.sort();
    for path in paths {
        let Some(node) = read_file(&path, reader.problems) else { continue };
        let mut reader =
            Reader { file: &path, environment: reader.environment, problems: &mut *reader.problems };
        objects::read(&mut reader, &node, "", objects);
    }
}

#[cfg(test)]
mod tests;
