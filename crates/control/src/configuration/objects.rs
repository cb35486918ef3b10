//! Objects as files write them: nested below their organization, referring to each other by name.

use std::path::PathBuf;

use serde::Deserialize;
use tollgate_catalog::Price;
use tollgate_core::{ModelPattern, SecretText, UnixMicros};
use tollgate_state::Grants;
use tollgate_state::objects::TimeoutOverrides;

use super::governance::{FileBudget, FileLimit};
use super::node::Node;
use super::reader::Reader;
use super::secrets;

/// All objects of all files.
#[derive(Debug, Clone, Default)]
pub struct FileObjects {
    pub organizations: Vec<FileOrganization>,
}

/// Something with the place where a file says it.
#[derive(Debug, Clone)]
pub struct Located<T> {
    pub value: T,
    pub file: PathBuf,
    pub line: u64,
    pub field: String,
}

/// An organization, gathered from all files that name it.
#[derive(Debug, Clone, Default)]
pub struct FileOrganization {
    pub name: String,
    pub teams: Vec<Located<FileTeam>>,
    pub providers: Vec<Located<FileProvider>>,
    pub models: Vec<Located<FileModel>>,
    pub keys: Vec<Located<FileKey>>,
    pub budgets: Vec<Located<FileBudget>>,
    pub limits: Vec<Located<FileLimit>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTeam {
    pub name: String,
    #[serde(default)]
    pub projects: Vec<String>,
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileProvider {
    pub name: String,
    pub kind: String,
    pub base_url: Option<String>,
    /// In the file a reference, here the secret itself.
    pub secret: Option<SecretText>,
    pub region: Option<String>,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub timeouts: TimeoutOverrides,
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileModel {
    pub name: ModelPattern,
    #[serde(default)]
    pub open: bool,
    #[serde(default)]
    pub tags: Vec<Box<str>>,
    pub deployments: Vec<FileDeployment>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDeployment {
    /// The name of a provider of the same organization.
    pub provider: String,
    pub upstream_model: Option<String>,
    #[serde(default = "one")]
    pub weight: u32,
    pub price: Option<Price>,
    #[serde(default)]
    pub timeouts: TimeoutOverrides,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A key whose secret the operator brings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKey {
    pub name: String,
    /// `{team: NAME}` or `{project: NAME}`.
    pub owned_by: KeyHolder,
    /// In the file a reference to a token `tg_…`, here the token itself.
    pub token: SecretText,
    pub grants: Grants,
    /// In the file a time such as `2027-01-31T00:00:00Z`.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<UnixMicros>,
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMicros>, D::Error> {
    let time = Option::<jiff::Timestamp>::deserialize(deserializer)?;
    Ok(time.map(|time| UnixMicros(time.as_microsecond())))
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHolder {
    Team(String),
    Project(String),
}

const KNOWN: [&str; 7] = ["name", "teams", "providers", "models", "keys", "budgets", "limits"];

/// Adds the objects below `organizations` of a node.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, field: &str, objects: &mut FileObjects) {
    reader.only_known(node, field, &["organizations"]);
    for (field, node) in reader.list(node, field, "organizations") {
        reader.only_known(node, &field, &KNOWN);
        let Some(name) = node.get("name").and_then(Node::text) else {
            reader.wrong(node, &field, "`name` is missing");
            continue;
        };
        let position = objects.organizations.iter().position(|known| known.name == name);
        let position = position.unwrap_or_else(|| {
            objects
                .organizations
                .push(FileOrganization { name: name.to_owned(), ..FileOrganization::default() });
            objects.organizations.len() - 1
        });
        let Some(organization) = objects.organizations.get_mut(position) else { continue };
        read_organization(reader, node, &field, organization);
    }
}

fn read_organization(reader: &mut Reader<'_>, node: &Node, field: &str, organization: &mut FileOrganization) {
    for (field, node) in reader.list(node, field, "teams") {
        organization.teams.extend(located(reader, node, field));
    }
    for (field, node) in reader.list(node, field, "providers") {
        let read: Option<Located<FileProvider>> = located(reader, node, field);
        organization.providers.extend(read.map(|mut provider| {
            let reference = provider.value.secret.take();
            provider.value.secret =
                reference.and_then(|text| secret(reader, node, &provider.field, "secret", &text));
            provider
        }));
    }
    for (field, node) in reader.list(node, field, "models") {
        organization.models.extend(located(reader, node, field));
    }
    for (field, node) in reader.list(node, field, "budgets") {
        organization.budgets.extend(located(reader, node, field));
    }
    for (field, node) in reader.list(node, field, "limits") {
        organization.limits.extend(located(reader, node, field));
    }
    for (field, node) in reader.list(node, field, "keys") {
        let read: Option<Located<FileKey>> = located(reader, node, field);
        organization.keys.extend(read.and_then(|mut key| {
            key.value.token = secret(reader, node, &key.field, "token", &key.value.token)?;
            Some(key)
        }));
    }
}

fn located<T: serde::de::DeserializeOwned>(
    reader: &mut Reader<'_>,
    node: &Node,
    field: String,
) -> Option<Located<T>> {
    let value = reader.typed(node, &field)?;
    Some(Located { value, file: reader.file.to_owned(), line: node.line, field })
}

fn secret(
    reader: &mut Reader<'_>,
    node: &Node,
    field: &str,
    name: &str,
    reference: &SecretText,
) -> Option<SecretText> {
    match secrets::resolve(reference.expose(), reader.file, reader.environment) {
        Ok(secret) => Some(secret),
        Err(message) => {
            reader.wrong(node.at_path(name), &format!("{field}.{name}"), message);
            None
        }
    }
}
