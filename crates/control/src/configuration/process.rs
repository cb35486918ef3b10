//! The process's own settings. What is absent keeps the program's default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tollgate_state::objects::TimeoutOverrides;

use super::node::Node;
use super::reader::Reader;
use super::secrets;

/// Everything in `tollgate.yaml` but `objects`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessSettings {
    pub listen: Option<SocketAddr>,
    /// Moves console, admin API and metrics away from `listen`.
    pub admin_listen: Option<SocketAddr>,
    /// The data directory.
    pub data: Option<PathBuf>,
    pub database: Option<DatabaseSettings>,
    /// Decides limits with exact sharing; `${NAME}` takes it from the environment.
    pub redis_url: Option<String>,
    pub root_key_file: Option<PathBuf>,
    pub tls: Option<TlsSettings>,
    pub limits: LimitSettings,
    /// Defaults of calls to providers.
    pub timeouts: TimeoutOverrides,
    pub durability: Option<Durability>,
    pub log: LogSettings,
    pub otlp: Option<OtlpSettings>,
}

impl ProcessSettings {
    /// The names of the settings that are not the same in both.
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let Self {
            listen,
            admin_listen,
            data,
            database,
            redis_url,
            root_key_file,
            tls,
            limits,
            timeouts,
            durability,
            log,
            otlp,
        } = self;
        let compared = [
            ("listen", *listen == other.listen),
            ("admin_listen", *admin_listen == other.admin_listen),
            ("data", *data == other.data),
            ("database", *database == other.database),
            ("redis_url", *redis_url == other.redis_url),
            ("root_key_file", *root_key_file == other.root_key_file),
            ("tls", *tls == other.tls),
            ("limits", *limits == other.limits),
            ("timeouts", *timeouts == other.timeouts),
            ("durability", *durability == other.durability),
            ("log", *log == other.log),
            ("otlp", *otlp == other.otlp),
        ];
        compared.into_iter().filter(|(_, equal)| !equal).map(|(name, _)| name).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// A `postgres://` URL; `${NAME}` takes it from the environment.
    pub url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM, the leaf first.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Bounds on what clients may send and how long they may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    pub max_body_bytes: Option<usize>,
    pub max_body_memory_bytes: Option<usize>,
    pub max_connections: Option<usize>,
    pub max_requests_in_flight: Option<usize>,
    pub header_timeout_ms: Option<u64>,
    pub body_idle_timeout_ms: Option<u64>,
    pub keep_alive_timeout_ms: Option<u64>,
    /// After how long, and how many requests, a connection is renewed.
    pub connection_age_ms: Option<u64>,
    pub connection_requests: Option<u64>,
    pub client_write_timeout_ms: Option<u64>,
    /// A stream without content for this long is begun with a sign of life; then every so often.
    pub stream_keep_alive_after_ms: Option<u64>,
    pub stream_keep_alive_every_ms: Option<u64>,
    pub max_answer_bytes: Option<usize>,
    pub max_attempts: Option<u16>,
    /// How long running requests may go on after the process was asked to stop.
    pub drain_ms: Option<u64>,
}

/// What an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The process being killed.
    Process,
    /// Loss of power as well.
    Power,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub format: Option<LogFormat>,
    /// For example `info` or `tollgate_gateway=debug,info`.
    pub level: Option<String>,
    /// One line per request.
    pub access: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Of OTLP over HTTP, for example `http://localhost:4318`.
    pub endpoint: String,
    /// The share of requests that are traced, 0 to 1; 0.01 unless given.
    #[serde(default = "one_percent")]
    pub sample_ratio: f64,
}

const fn one_percent() -> f64 {
    0.01
}

const KNOWN: [&str; 13] = [
    "listen",
    "admin_listen",
    "data",
    "database",
    "redis_url",
    "root_key_file",
    "tls",
    "limits",
    "timeouts",
    "durability",
    "log",
    "otlp",
    "objects",
];

fn field<T: DeserializeOwned>(reader: &mut Reader<'_>, root: &Node, name: &str) -> Option<T> {
    reader.typed(root.get(name)?, name)
}

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> ProcessSettings {
    reader.only_known(root, "", &KNOWN);
    let base = reader.file.parent().unwrap_or(Path::new("")).to_owned();
    let relative = |path: PathBuf| base.join(path);
    let mut settings = ProcessSettings {
        listen: field(reader, root, "listen"),
        admin_listen: field(reader, root, "admin_listen"),
        data: field(reader, root, "data").map(relative),
        database: field(reader, root, "database"),
        redis_url: field(reader, root, "redis_url"),
        root_key_file: field(reader, root, "root_key_file").map(relative),
        tls: field(reader, root, "tls"),
        limits: field(reader, root, "limits").unwrap_or_default(),
        timeouts: field(reader, root, "timeouts").unwrap_or_default(),
        durability: field(reader, root, "durability"),
        log: field(reader, root, "log").unwrap_or_default(),
        otlp: field(reader, root, "otlp"),
    };
    if let Some(tls) = &mut settings.tls {
        tls.certificate = relative(std::mem::take(&mut tls.certificate));
        tls.key = relative(std::mem::take(&mut tls.key));
    }
    check(reader, root, &mut settings);
    settings
}

fn check(reader: &mut Reader<'_>, root: &Node, settings: &mut ProcessSettings) {
    if let Some(database) = &mut settings.database {
        let node = root.at_path("database.url");
        match secrets::resolve_text(&database.url, reader.environment) {
            Ok(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                database.url = url;
            }
            Ok(_) => reader.wrong(
                node,
                "database.url",
                "must start with postgres://; leave `database` out for SQLite",
            ),
            Err(message) => reader.wrong(node, "database.url", message),
        }
    }
    if let Some(url) = &mut settings.redis_url {
        let node = root.at_path("redis_url");
        match secrets::resolve_text(url, reader.environment) {
            Ok(resolved) if resolved.starts_with("redis://") || resolved.starts_with("rediss://") => {
                *url = resolved;
            }
            Ok(_) => reader.wrong(node, "redis_url", "must start with redis:// or rediss://"),
            Err(message) => reader.wrong(node, "redis_url", message),
        }
    }
    if settings.otlp.as_ref().is_some_and(|otlp| !(0.0..=1.0).contains(&otlp.sample_ratio)) {
        reader.wrong(root.at_path("otlp.sample_ratio"), "otlp.sample_ratio", "must be between 0 and 1");
    }
    if settings.listen.is_some() && settings.listen == settings.admin_listen {
        reader.wrong(
            root.at_path("admin_listen"),
            "admin_listen",
            "is the same address as `listen`; leave it out to serve both on one address",
        );
    }
}
