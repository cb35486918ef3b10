//! The client of the admin API.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tollgate_core::SecretText;
use tollgate_upstream::{Egress, OneShot, Origin, Timeouts, client_config, fetch};

/// The file that `serve` leaves in its data directory on the first start.
pub(crate) const BOOTSTRAP_FILE_NAME: &str = "bootstrap.json";
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The API serves at most this many items at once.
const PAGE_ITEMS: usize = 500;

/// Where Tollgate runs and who asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Address of the admin API, for example http://127.0.0.1:8080
    #[arg(long, env = "TOLLGATE_URL", global = true, help_heading = "Connection")]
    url: Option<String>,
    /// Admin credential (tga_…); better given by the environment than on the command line
    #[arg(
        long,
        env = "TOLLGATE_ADMIN_TOKEN",
        hide_env_values = true,
        global = true,
        help_heading = "Connection"
    )]
    token: Option<SecretText>,
    /// Data directory or bootstrap file to take address and credential from when they are not given
    #[arg(
        long,
        env = "TOLLGATE_DATA",
        value_name = "PATH",
        default_value = "data",
        global = true,
        help_heading = "Connection"
    )]
    data: PathBuf,
}

/// What the first start writes for scripts.
#[derive(Deserialize)]
struct Bootstrap {
    admin_url: String,
    admin_token: SecretText,
}

/// A connection to one admin API.
pub(crate) struct Admin {
    url: String,
    origin: Arc<Origin>,
    tls: Arc<rustls::ClientConfig>,
    authorization: HeaderValue,
}

impl Target {
    /// Address and credential of a bootstrap file.
    pub(crate) const fn of_bootstrap_file(path: PathBuf) -> Self {
        Self { url: None, token: None, data: path }
    }

    /// Prepares calls; makes none.
    pub(crate) fn connect(&self) -> anyhow::Result<Admin> {
        let bootstrap = match (&self.url, &self.token) {
            (Some(_), Some(_)) => None,
            _ => read_bootstrap(&self.data)?,
        };
        let url = match (&self.url, &bootstrap) {
            (Some(url), _) => url.clone(),
            (None, Some(bootstrap)) => bootstrap.admin_url.clone(),
            (None, None) => format!("http://{}", crate::serve::DEFAULT_LISTEN),
        };
        let token = self.token.as_ref().or(bootstrap.as_ref().map(|bootstrap| &bootstrap.admin_token));
        let token = token.with_context(|| {
            format!(
                "there is no admin credential: set TOLLGATE_ADMIN_TOKEN to the one that the first `tollgate serve` \
                 printed, or run `tollgate admin reset` (no bootstrap file was found at {})",
                self.data.display()
            )
        })?;
        let origin = Origin::parse(url.trim_end_matches('/'), Egress::Internal)
            .map_err(|error| anyhow!("{url} cannot be used as --url: {error}"))?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
                anyhow!("the admin credential has characters that no credential has; copy it again")
            })?;
        authorization.set_sensitive(true);
        Ok(Admin { url, origin: Arc::new(origin), tls: client_config(None)?, authorization })
    }
}

fn read_bootstrap(place: &Path) -> anyhow::Result<Option<Bootstrap>> {
    let path = if place.is_dir() { place.join(BOOTSTRAP_FILE_NAME) } else { place.to_owned() };
    match std::fs::read(&path) {
        Ok(text) => {
            let parsed = serde_json::from_slice(&text);
            parsed.map(Some).with_context(|| format!("{} is not a bootstrap file", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

impl Admin {
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.call(Method::GET, &with_query(path, query), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    /// A list: all its pages, or as many as hold `limit` items.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let wanted = limit.map_or(PAGE_ITEMS, |limit| limit.saturating_sub(items.len()).min(PAGE_ITEMS));
            if wanted == 0 {
                return Ok(items);
            }
            let mut query = query.to_vec();
            query.push(("limit", wanted.to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut page = self.get(path, &query).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                _ => bail!("{path} of {} answered with something that is not a list", self.url),
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let call = OneShot {
            origin: Arc::clone(&self.origin),
            tls: Arc::clone(&self.tls),
            method,
            path: format!("{}{path}", self.origin.path_prefix()),
            headers,
            body: body.map(serde_json::to_vec).transpose()?.map(Bytes::from).unwrap_or_default(),
            timeouts: Timeouts::default(),
            max_response_bytes: MAX_ANSWER_BYTES,
        };
        let answer = fetch(call).await.map_err(|error| {
            anyhow!(
                "Tollgate does not answer at {}: {error}; start it with `tollgate serve`, or set --url",
                self.url
            )
        })?;
        if !answer.status.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .with_context(|| format!("{} did not answer with JSON; is it Tollgate?", self.url))
    }
}

fn with_query(path: &str, query: &[(&str, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query {
        text.append_pair(name, value);
    }
    format!("{path}?{}", text.finish())
}

/// A problem document as one message.
fn refusal(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("no reason was given");
    match status {
        StatusCode::UNAUTHORIZED => {
            anyhow!(
                "{detail}; set TOLLGATE_ADMIN_TOKEN, or make a new credential with `tollgate admin reset`"
            )
        }
        StatusCode::NOT_FOUND if problem.get("type").is_none() => {
            anyhow!(
                "there is no admin API at this address: with --admin-listen it has an address of its own, set --url to it"
            )
        }
        _ => anyhow!("{detail} ({status})"),
    }
}

/// The object with this id or name, among those of a list.
pub(crate) async fn find(admin: &Admin, path: &str, kind: &str, wanted: &str) -> anyhow::Result<Value> {
    let items = admin.list(path, &[], None).await?;
    let field = |item: &Value, name: &str| item.get(name).and_then(Value::as_str) == Some(wanted);
    if let Some(found) = items.iter().find(|item| field(item, "id")) {
        return Ok(found.clone());
    }
    let named: Vec<&Value> = items.iter().filter(|item| field(item, "name")).collect();
    match named.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let known: Vec<&str> =
                items.iter().filter_map(|item| item.get("name")?.as_str()).take(20).collect();
            let known = if known.is_empty() {
                "there is none yet".to_owned()
            } else {
                format!("there is {}", known.join(", "))
            };
            bail!("there is no {kind} `{wanted}`; {known}")
        }
        _ => bail!("several {kind}s are named `{wanted}`; give the id, which `tollgate {kind} list` shows"),
    }
}

/// The id of an object that the API has shown.
pub(crate) fn id_of(object: &Value) -> anyhow::Result<&str> {
    object.get("id").and_then(Value::as_str).context("the answer has no id")
}
