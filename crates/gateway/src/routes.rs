//! Every inference route, on one page. A route that is not here does not exist, and each one here is metered.

use http::Method;
use tollgate_core::{Dialect, Operation};

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An inference call: goes through the whole journey.
    Infer(Operation),
    /// The models that the key may use.
    ListModels,
    /// One of them; the rest of the path is its name.
    GetModel,
    /// Only reachable by an upgrade that is not served: 426.
    RefuseUpgrade,
    /// The process is alive.
    Health,
    /// The process can take calls.
    Ready,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// The path; a trailing `/*` takes the rest.
    pub path: &'static str,
    pub action: Action,
    /// How requests, answers and errors are written here.
    pub dialect: Dialect,
}

const fn infer(path: &'static str, operation: Operation, dialect: Dialect) -> Route {
    Route { method: "POST", path, action: Action::Infer(operation), dialect }
}

const fn get(path: &'static str, action: Action) -> Route {
    Route { method: "GET", path, action, dialect: Dialect::OpenaiChat }
}

/// The table, the busiest first.
pub const ROUTES: &[Route] = &[
    infer("/v1/chat/completions", Operation::Chat, Dialect::OpenaiChat),
    infer("/v1/messages", Operation::Chat, Dialect::AnthropicMessages),
    infer("/v1/responses", Operation::Response, Dialect::OpenaiResponses),
    infer("/v1/embeddings", Operation::Embedding, Dialect::OpenaiEmbeddings),
    infer("/v1/messages/count_tokens", Operation::CountTokens, Dialect::AnthropicMessages),
    infer("/v1/completions", Operation::Completion, Dialect::OpenaiCompletions),
    get("/v1/models", Action::ListModels),
    get("/v1/models/*", Action::GetModel),
    Route {
        method: "GET",
        path: "/v1/responses",
        action: Action::RefuseUpgrade,
        dialect: Dialect::OpenaiResponses,
    },
    get("/healthz", Action::Health),
    get("/readyz", Action::Ready),
];

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub enum Match {
    Found(&'static Route),
    /// The path exists with these methods only.
    WrongMethod(&'static Route),
    /// Not a path of the data plane.
    Unknown,
}

/// Finds the route of a request. Paths are compared byte for byte: no decoding, no folding, no trailing slash.
pub fn find(method: &Method, path: &str) -> Match {
    let mut wrong_method = None;
    for route in ROUTES {
        let matches = match route.path.strip_suffix('*') {
            Some(prefix) => path.len() > prefix.len() && path.starts_with(prefix),
            None => path == route.path,
        };
        if matches {
            if route.method == method.as_str() {
                return Match::Found(route);
            }
            wrong_method = Some(route);
        }
    }
    wrong_method.map_or(Match::Unknown, Match::WrongMethod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: Method, path: &str) -> Option<Action> {
        match find(&method, path) {
            Match::Found(route) => Some(route.action),
            _ => None,
        }
    }

    #[test]
    fn only_the_exact_spelling_is_a_route() {
        assert_eq!(action(Method::POST, "/v1/messages"), Some(Action::Infer(Operation::Chat)));
        for path in [
            "/v1/Messages",
            "/v1/messages/",
            "//v1/messages",
            "/v1/%6dessages",
            "/v1/messages;x",
            "/V1/messages",
        ] {
            assert!(matches!(find(&Method::POST, path), Match::Unknown), "{path}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_says_so() {
        assert!(matches!(find(&Method::GET, "/v1/chat/completions"), Match::WrongMethod(_)));
        assert_eq!(action(Method::GET, "/v1/responses"), Some(Action::RefuseUpgrade));
        assert_eq!(action(Method::POST, "/v1/responses"), Some(Action::Infer(Operation::Response)));
    }

    #[test]
    fn model_names_with_slashes_belong_to_the_path() {
        assert_eq!(action(Method::GET, "/v1/models/openai/gpt-5.5"), Some(Action::GetModel));
        assert_eq!(action(Method::GET, "/v1/models"), Some(Action::ListModels));
        assert!(matches!(find(&Method::GET, "/v1/models/"), Match::Unknown));
    }
}
