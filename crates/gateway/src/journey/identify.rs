//! Who calls: finds the credential in the headers, and the key and payer that belong to it.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use tollgate_access::token::{self, TokenKind};
use tollgate_core::RetryAdvice;
use tollgate_state::ActiveCredential;
use tollgate_wire::ErrorKind;

use super::accept::Accepted;
use crate::account::Account;
use crate::core::Core;
use crate::live::Published;
use crate::problem::{Problem, Refused};

/// Headers in which clients send their key.
pub const CREDENTIAL_HEADERS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// A call whose caller is known.
#[derive(Debug)]
pub struct Identified {
    pub accepted: Accepted,
    pub published: Arc<Published>,
    pub credential: Arc<ActiveCredential>,
    pub account: Account,
    _made_here: PhantomData<()>,
}

/// Identifies the caller of an inference call.
pub async fn identify(core: &Rc<Core>, accepted: Accepted) -> Result<Identified, Box<Refused>> {
    let published = core.gateway.published().clone();
    let found = credential(core, &published, &accepted.head.headers).await;
    let credential = found.map_err(Refused::anonymous)?;
    let account = Account::open(core, &accepted, &credential, published.snapshot.version);
    Ok(Identified { accepted, published, credential, account, _made_here: PhantomData })
}

/// The credential that a request's headers prove.
///
/// # Errors
/// 400 when headers contradict each other, 401 when there is none or it proves nothing, 503 when nobody can tell.
pub async fn credential(
    core: &Core,
    published: &Published,
    headers: &HeaderMap,
) -> Result<Arc<ActiveCredential>, Problem> {
    let text = presented(headers)?;
    let lookup = token::parse(TokenKind::Key, text).map_err(|_| {
        unauthenticated("this is not a Tollgate key: keys begin with `tg_` and must be copied whole")
    })?;
    let credential = match published.snapshot.credential(lookup) {
        Some(known) => Arc::clone(known),
        None => {
            if !core.gateway.is_configured() {
                return Err(unavailable("no configuration is loaded yet"));
            }
            let answer = core.gateway.lookups.credential(lookup).await;
            let found = answer.map_err(|_| unavailable("keys cannot be checked at the moment"))?;
            found.ok_or_else(|| unauthenticated("this key is unknown or was revoked"))?
        }
    };
    let peppers = core.gateway.peppers.load();
    if !peppers.verify(credential.algorithm, credential.pepper_version, &credential.hash, text) {
        return Err(unauthenticated("this key is unknown or was revoked"));
    }
    if credential.is_expired(core.gateway.clock.now()) {
        return Err(
            unauthenticated("this key has expired; create or rotate one").with_code("expired_api_key")
        );
    }
    Ok(credential)
}

/// The one secret that the headers carry, however often.
fn presented(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut found: Option<&[u8]> = None;
    for name in &CREDENTIAL_HEADERS {
        for value in headers.get_all(name) {
            let bytes = if *name == AUTHORIZATION { bearer(value.as_bytes())? } else { value.as_bytes() };
            match found {
                None => found = Some(bytes),
                Some(first) if first == bytes => {}
                Some(_) => {
                    let message =
                        "the request carries two different credentials; send one key, in one header";
                    return Err(Problem::client(ErrorKind::InvalidRequest, message)
                        .with_code("conflicting_credentials"));
                }
            }
        }
    }
    found.filter(|text| !text.is_empty()).ok_or_else(|| {
        unauthenticated("no key was sent: put it into `Authorization: Bearer tg_…` or `x-api-key: tg_…`")
    })
}

fn bearer(value: &[u8]) -> Result<&[u8], Problem> {
    match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(rest.trim_ascii()),
        _ => Err(unauthenticated("the Authorization header must be `Bearer tg_…`")),
    }
}

fn unauthenticated(message: &str) -> Problem {
    Problem::client(ErrorKind::Authentication, message)
}

fn unavailable(message: &str) -> Problem {
    Problem::gateway(ErrorKind::Unavailable, message).with_retry(RetryAdvice::AfterMs(1_000))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn kind(pairs: &[(&'static str, &'static str)]) -> Result<Vec<u8>, ErrorKind> {
        presented(&headers(pairs)).map(<[u8]>::to_vec).map_err(|problem| problem.kind)
    }

    #[test]
    fn every_carrier_is_read_and_agreeing_ones_are_one() {
        for pair in
            [("authorization", "Bearer k"), ("x-api-key", "k"), ("api-key", "k"), ("x-goog-api-key", "k")]
        {
            assert_eq!(kind(&[pair]).as_deref(), Ok(&b"k"[..]), "{pair:?}");
        }
        assert_eq!(kind(&[("authorization", "bearer k"), ("x-api-key", "k")]).as_deref(), Ok(&b"k"[..]));
    }

    #[test]
    fn contradictions_and_nothing_are_refused() {
        assert_eq!(
            kind(&[("authorization", "Bearer k"), ("x-api-key", "l")]),
            Err(ErrorKind::InvalidRequest)
        );
        assert_eq!(kind(&[("x-api-key", "k"), ("x-api-key", "l")]), Err(ErrorKind::InvalidRequest));
        assert_eq!(kind(&[]), Err(ErrorKind::Authentication));
        assert_eq!(kind(&[("authorization", "Basic k")]), Err(ErrorKind::Authentication));
        assert_eq!(kind(&[("authorization", "Bearer ")]), Err(ErrorKind::Authentication));
    }
}
