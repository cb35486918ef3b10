//! Requests of clients that were given a wrong base URL: told in their own dialect what the right one is.

use http::header::HOST;
use http::{Method, Request, Response};
use tollgate_core::{Dialect, RequestId};
use tollgate_wire::ErrorKind;

use crate::answer::AnswerBody;
use crate::journey::identify::CREDENTIAL_HEADERS;
use crate::problem::Problem;
use crate::routes::{ROUTES, Route};

/// The prefix that clients of OpenAI's dialects have in their base URL, and Anthropic's add themselves.
const VERSION: &str = "/v1";

/// The answer to a path that is a client's, but no route: one that ends as a route does, or begins with the version.
pub(super) fn answer<B>(request: &Request<B>) -> Option<Response<AnswerBody>> {
    let (path, headers) = (request.uri().path(), request.headers());
    let is_versioned = path == VERSION || path.starts_with("/v1/");
    // The console has pages of the same names; a browser brings no key to them.
    let is_call =
        request.method() == Method::POST || CREDENTIAL_HEADERS.iter().any(|name| headers.contains_key(name));
    let meant = meant(path).filter(|_| is_versioned || is_call);
    if meant.is_none() && !is_versioned {
        return None;
    }
    let dialect = meant.map_or_else(|| crate::models::dialect_of(headers), |route| route.dialect);
    let base = format!("{}://{}", request.uri().scheme_str().unwrap_or("http"), host(request));
    let message = match dialect {
        Dialect::AnthropicMessages => format!(
            "there is nothing at `{}`: the base URL for Anthropic clients is without /v1: {base}",
            shown(path)
        ),
        _ => format!(
            "there is nothing at `{}`: the base URL for OpenAI clients ends in /v1: {base}{VERSION}",
            shown(path)
        ),
    };
    let problem = Problem::client(ErrorKind::NotFound, message).with_code("wrong_base_url");
    Some(problem.response(dialect, RequestId::generate()))
}

/// The route that a client meant whose base URL has too much or too little in front.
fn meant(path: &str) -> Option<&'static Route> {
    let path = path.trim_end_matches('/');
    let of_clients = ROUTES.iter().filter_map(|route| Some((route, route.path.strip_prefix(VERSION)?)));
    // The longest end is the one that was meant: `/chat/completions`, not `/completions`.
    of_clients.filter(|(_, end)| path.ends_with(end)).max_by_key(|(_, end)| end.len()).map(|(route, _)| route)
}

/// How the client reached this address.
fn host<B>(request: &Request<B>) -> &str {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    authority.or(header).filter(|host| host.len() <= 255).unwrap_or("HOST")
}

fn shown(path: &str) -> &str {
    path.get(..200).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_that_was_meant_is_the_one_with_the_longest_end() {
        for (path, meant_path) in [
            ("/chat/completions", "/v1/chat/completions"),
            ("/v1/v1/messages", "/v1/messages"),
            ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("/messages", "/v1/messages"),
            ("/openai/v1/responses", "/v1/responses"),
            ("/v1/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ] {
            assert_eq!(meant(path).map(|route| route.path), Some(meant_path), "{path}");
        }
        for path in ["/", "/healthz/", "/metrics", "/assets/index.js"] {
            assert!(meant(path).is_none(), "{path}");
        }
    }
}
