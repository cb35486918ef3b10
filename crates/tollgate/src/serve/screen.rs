//! What the operator sees at the start, and what scripts read.

use std::fmt::Write;
use std::path::Path;

use anyhow::bail;
use serde_json::json;
use tollgate_core::SecretText;

use super::data_directory::write_private;

/// Facts of a start.
pub(crate) struct Started {
    pub(crate) url: String,
    pub(crate) admin_url: String,
    /// Made just now; on the first start only.
    pub(crate) admin_token: Option<SecretText>,
    /// A ready-made key with a model to ask; with simulated providers only.
    pub(crate) key: Option<SecretText>,
    /// A key whose budget is spent after a few calls; with simulated providers only.
    pub(crate) small_key: Option<SecretText>,
    pub(crate) model: Option<String>,
    /// What `--detect` found and did not find.
    pub(crate) findings: Vec<String>,
    pub(crate) data: String,
    pub(crate) store: &'static str,
}

impl Started {
    /// One screen of text. The `curl` works when pasted.
    pub(crate) fn screen(&self) -> String {
        let mut text = format!("\nTollgate {} is running\n\n", env!("CARGO_PKG_VERSION"));
        let mut fact = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<17}{value}");
        };
        fact("API", &format!("{}/v1", self.url));
        fact("Admin API", &format!("{}/api/v1", self.admin_url));
        fact("Metrics", &format!("{}/metrics", self.admin_url));
        fact("Data", &format!("{} ({})", self.data, self.store));
        for finding in &self.findings {
            fact("Detection", finding);
        }
        match &self.admin_token {
            Some(token) => fact("Admin credential", &format!("{}  (shown only now)", token.expose())),
            None => {
                fact("Admin credential", "made at the first start; `tollgate admin reset` makes a new one");
                fact("Keys", "those made before; `tollgate key create` makes another");
            }
        }
        if let Some(key) = &self.key {
            fact("Key", key.expose());
        }
        let next_step = self.next_step();
        if !next_step.is_empty() {
            text.push('\n');
            text.push_str(&next_step);
        }
        text
    }

    fn next_step(&self) -> String {
        if let (Some(key), Some(model)) = (&self.key, &self.model) {
            let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]});
            let mut capped = body.clone();
            capped["max_tokens"] = json!(60);
            let curl = |key: &SecretText, body: &serde_json::Value| {
                format!(
                    "curl {}/v1/chat/completions \\\n    -H 'Authorization: Bearer {}' \\\n    \
                     -H 'Content-Type: application/json' \\\n    -d '{body}'",
                    self.url,
                    key.expose()
                )
            };
            let mut text = format!("Try it:\n\n  {}\n", curl(key, &body));
            if let Some(small_key) = &self.small_key {
                let _ = write!(
                    text,
                    "\nSee a budget refuse; this key may spend $0.00025 a day:\n\n  for call in 1 2 3 4 5 6; do {}; echo; done\n",
                    curl(small_key, &capped)
                );
            }
            return text;
        }
        let Some(admin_token) = &self.admin_token else { return String::new() };
        format!(
            "Next:\n\n  export TOLLGATE_URL={} TOLLGATE_ADMIN_TOKEN={}\n  \
             tollgate provider add openai --secret-env OPENAI_API_KEY\n  \
             tollgate model add 'gpt-*' --provider openai\n  \
             tollgate key create first --team main --create-team\n",
            self.admin_url,
            admin_token.expose()
        )
    }

    /// Writes the same facts for scripts; only where a credential was made.
    pub(crate) fn write_bootstrap_file(&self, path: &Path) -> anyhow::Result<()> {
        let Some(token) = &self.admin_token else { return Ok(()) };
        let facts = json!({
            "url": self.url,
            "admin_url": self.admin_url,
            "admin_token": token.expose(),
            "key": self.key.as_ref().map(SecretText::expose),
        });
        if path.is_dir() {
            bail!("--bootstrap-file names a directory, {}: name a file", path.display());
        }
        write_private(path, format!("{facts:#}\n").as_bytes())
    }
}
