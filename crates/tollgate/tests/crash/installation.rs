//! A Tollgate with one model before one provider, and its admin API.

use serde_json::{Value, json};
use tollgate_simulator::{BenchProfile, Profile, SimulatedProvider};
use tollgate_testkit::{RawClient, Settings, TollgateProcess};

pub(crate) const MODEL: &str = "gpt-5.5";

pub(crate) struct Installation {
    pub(crate) tollgate: TollgateProcess,
    pub(crate) key: String,
}

/// A provider that answers at once; its streams come in several pieces.
pub(crate) fn quick_provider() -> SimulatedProvider {
    let profile = BenchProfile { response_bytes: 1024, events: 6, event_text_bytes: 16, events_per_write: 2 };
    let builder = SimulatedProvider::builder().profile(Profile::Bench(profile));
    builder.bind(([127, 0, 0, 1], 0).into()).unwrap().spawn_on_thread().unwrap()
}

impl Installation {
    pub(crate) async fn start(provider_url: &str) -> Self {
        let config = format!(
            "objects:
  organizations:
    - name: main
      teams: [{{name: all}}]
      providers:
        - {{name: upstream, kind: openai_compatible, base_url: \"{provider_url}/v1\", internal: true}}
      models:
        - name: {MODEL}
          deployments:
            - provider: upstream
              price: [{{input: \"2.50\", cache_read: \"1.25\", output: \"10\"}}]
"
        );
        let settings = Settings {
            config: Some(config),
            arguments: vec!["--threads".into(), "2".into()],
            binary: Some(env!("CARGO_BIN_EXE_tollgate").into()),
            ..Settings::default()
        };
        Self::start_with(settings).await
    }

    /// Starts with one key that may use every model.
    pub(crate) async fn start_with(settings: Settings) -> Self {
        let tollgate = TollgateProcess::start(settings).await.unwrap();
        let mut installation = Self { tollgate, key: String::new() };
        let team = installation.get("/api/v1/teams").await["items"][0]["id"].clone();
        let key = json!({"name": "load", "owned_by": {"team": team}, "grants": {"allow": ["*"], "deny": []}});
        let authorization = installation.admin_authorization();
        let headers = [("authorization", authorization.as_str())];
        let mut client = installation.tollgate.connect().await.unwrap();
        let made = client.post("/api/v1/keys", &headers, key.to_string()).await.unwrap();
        assert!(made.status < 300, "{}", made.text());
        installation.key = made.json()["secret"].as_str().unwrap().to_owned();
        installation
    }

    fn admin_authorization(&self) -> String {
        format!("Bearer {}", self.tollgate.bootstrap.admin_token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.get_over(&mut self.tollgate.connect().await.unwrap(), path).await
    }

    pub(crate) async fn get_over(&self, client: &mut RawClient, path: &str) -> Value {
        let authorization = self.admin_authorization();
        let answer = client.get(path, &[("authorization", &authorization)]).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let mut client = self.tollgate.connect().await.unwrap();
        let authorization = self.admin_authorization();
        let headers = [("authorization", authorization.as_str())];
        let answer = client.post(path, &headers, body.to_string()).await.unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    }

    /// The headers of a call.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

pub(crate) fn chat(stream: bool) -> String {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}).to_string()
}
