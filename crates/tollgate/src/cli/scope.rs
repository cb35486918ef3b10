//! What a budget or limit counts: options that name it, and how it is shown.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::{Admin, find, id_of};
use super::output::text;

/// Which calls are counted; those of the whole organization unless said otherwise.
#[derive(Debug, Default, Args)]
pub(crate) struct ScopeOptions {
    /// Calls that this team pays for (id or name), with those of its projects
    #[arg(long, group = "place", help_heading = "What is counted")]
    team: Option<String>,
    /// Calls that this project pays for (id or name)
    #[arg(long, group = "place", help_heading = "What is counted")]
    project: Option<String>,
    /// Calls with this key (id or name)
    #[arg(long, group = "place", help_heading = "What is counted")]
    key: Option<String>,
    /// Calls on behalf of this customer, as applications name it
    #[arg(long, group = "place", help_heading = "What is counted")]
    customer: Option<String>,
    /// Calls of this user (id)
    #[arg(long, group = "place", help_heading = "What is counted")]
    user: Option<String>,
    /// Calls of the members of this group (id)
    #[arg(long, group = "place", help_heading = "What is counted")]
    group: Option<String>,
    /// Calls of this service account (id)
    #[arg(long, group = "place", help_heading = "What is counted")]
    service_account: Option<String>,
    /// Calls that go to this provider (id or name)
    #[arg(long, group = "place", help_heading = "What is counted")]
    provider: Option<String>,
    /// Calls that go to this deployment (id, see `tollgate model list`)
    #[arg(long, group = "place", help_heading = "What is counted")]
    deployment: Option<String>,
    /// Count each of these for itself instead of all together
    #[arg(long, help_heading = "What is counted")]
    each: Option<Each>,
    /// Only calls to this model; with a star at its end, to all whose names begin so
    #[arg(long, conflicts_with = "model_tag", help_heading = "What is counted")]
    model: Option<String>,
    /// Only calls to models with this tag
    #[arg(long, help_heading = "What is counted")]
    model_tag: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Each {
    Team,
    Project,
    User,
    ServiceAccount,
    Key,
    Customer,
}

impl Each {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Key => "key",
            Self::Customer => "customer",
        }
    }
}

impl ScopeOptions {
    /// As the admin API takes it, with names turned into ids.
    pub(crate) async fn json(&self, admin: &Admin) -> anyhow::Result<Value> {
        let mut scope = json!({"place": self.place(admin).await?});
        if let Some(each) = self.each {
            scope["each"] = json!(each.as_str());
        }
        if let Some(name) = &self.model {
            scope["model"] = json!({"name": name});
        }
        if let Some(tag) = &self.model_tag {
            scope["model"] = json!({"tag": tag});
        }
        Ok(scope)
    }

    async fn place(&self, admin: &Admin) -> anyhow::Result<Value> {
        let named = [
            ("team", &self.team, "/api/v1/teams"),
            ("project", &self.project, "/api/v1/projects"),
            ("key", &self.key, "/api/v1/keys"),
            ("provider", &self.provider, "/api/v1/providers"),
        ];
        for (kind, wanted, path) in named {
            if let Some(wanted) = wanted {
                return Ok(json!({kind: id_of(&find(admin, path, kind, wanted).await?)?}));
            }
        }
        let as_given = [
            ("customer", &self.customer),
            ("user", &self.user),
            ("group", &self.group),
            ("service_account", &self.service_account),
            ("deployment", &self.deployment),
        ];
        let given = as_given.into_iter().find_map(|(kind, value)| Some(json!({kind: value.as_ref()?})));
        Ok(given.unwrap_or_else(|| json!("organization")))
    }
}

/// Names of what scopes and members refer to, by id.
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    pub(crate) async fn load(admin: &Admin) -> anyhow::Result<Self> {
        let mut names = HashMap::new();
        for path in ["/api/v1/teams", "/api/v1/projects", "/api/v1/keys", "/api/v1/providers"] {
            let objects = admin.list(path, &[], None).await?;
            names.extend(objects.iter().map(|object| (text(object, "/id"), text(object, "/name"))));
        }
        Ok(Self(names))
    }

    pub(crate) fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }

    /// A scope in words: `team search, each key, model gpt-*`.
    pub(crate) fn scope(&self, scope: &Value) -> String {
        let place = scope.get("place").and_then(Value::as_object).and_then(|place| place.iter().next());
        let mut words = vec![match place {
            Some((kind, of)) => format!("{} {}", kind.replace('_', " "), self.of(of.as_str().unwrap_or("–"))),
            None => "organization".to_owned(),
        }];
        if let Some(each) = scope.get("each").and_then(Value::as_str) {
            words.push(format!("each {}", each.replace('_', " ")));
        }
        if let Some(name) = scope.pointer("/model/name").and_then(Value::as_str) {
            words.push(format!("model {name}"));
        }
        if let Some(tag) = scope.pointer("/model/tag").and_then(Value::as_str) {
            words.push(format!("models tagged {tag}"));
        }
        words.join(", ")
    }

    /// Whose count it is, in words.
    pub(crate) fn member(&self, member: &Value) -> String {
        let first = member.as_object().and_then(|member| member.iter().next());
        match (first, member.as_str()) {
            (Some((kind, of)), _) => {
                format!("{} {}", kind.replace('_', " "), self.of(of.as_str().unwrap_or("–")))
            }
            (None, Some("other_customers")) => "other customers".into(),
            (None, _) => "all".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_in_words() {
        let names = Names(HashMap::from([("team_1".to_owned(), "search".to_owned())]));
        let scope =
            json!({"place": {"team": "team_1"}, "each": "service_account", "model": {"tag": "cheap"}});
        assert_eq!(names.scope(&scope), "team search, each service account, models tagged cheap");
        assert_eq!(names.scope(&json!({"place": "organization"})), "organization");
        assert_eq!(names.member(&json!({"team": "team_1"})), "team search");
        assert_eq!(names.member(&json!("all")), "all");
    }
}
