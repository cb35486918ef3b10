//! Where a webhook's events go.

use tollgate_upstream::{Egress, Origin, OriginError};

/// A parsed URL.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    /// Path with query, as it was written.
    pub(crate) path: String,
}

impl Target {
    /// `internal` lets private addresses in. Those of a name are judged when it is called.
    ///
    /// # Errors
    /// Says what is wrong with the URL.
    pub(crate) fn parse(url: &str, internal: bool) -> Result<Self, String> {
        let after_scheme = url.find("://").map_or(0, |position| position + "://".len());
        let start = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |found| after_scheme + found);
        let (base, rest) = url.split_at(start);
        let egress = if internal { Egress::Internal } else { Egress::Public };
        let origin = Origin::parse(base, egress).map_err(|error| of_webhook(&error))?;
        if rest.contains('#') {
            return Err("must have no fragment (`#…`), which is never sent".into());
        }
        let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        if path.parse::<http::Uri>().is_err() {
            return Err("has characters in its path that must be escaped".into());
        }
        Ok(Self { origin, path })
    }
}

/// What is wrong with an address, told of a webhook's `url` instead of a provider's `base_url`.
fn of_webhook(error: &OriginError) -> String {
    match error {
        OriginError::Invalid(reason) => format!("is not a valid URL: {reason}"),
        OriginError::Scheme(scheme) => format!("must start with https:// or http://, not {scheme}://"),
        OriginError::UserInfo => {
            "must not contain a user name or password; receivers check the signature".into()
        }
        OriginError::Character(character) => format!("must not contain {character:?} before its path"),
        OriginError::Spelling { expected } => {
            format!("must spell its host in its plain form: write {expected:?}")
        }
        OriginError::TrailingDot => "must not end its host with a dot".into(),
        OriginError::Egress(refusal) => format!("is refused: {refusal}").replace("provider", "webhook"),
        OriginError::Localhost(name) => {
            format!("is refused: {name:?} names this machine; declare the webhook internal")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_their_path_and_query() {
        let path = |url: &str| Target::parse(url, false).map(|target| target.path);
        assert_eq!(path("https://hooks.example/a/b/?c=d").unwrap(), "/a/b/?c=d");
        assert_eq!(path("https://hooks.example?c=d").unwrap(), "/?c=d");
        assert_eq!(path("https://hooks.example").unwrap(), "/");
        for wrong in [
            "",
            "hooks.example",
            "ftp://hooks.example/",
            "https://u:p@hooks.example/",
            "https://h.example/#x",
            "https://h.example/a b",
        ] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn mistakes_are_told_of_the_webhook() {
        for url in ["hooks.example", "ftp://hooks.example/", "https://u:p@hooks.example/", "http://10.0.0.1/"]
        {
            let message = Target::parse(url, false).unwrap_err();
            assert!(!message.contains("base_url") && !message.contains("provider"), "{message}");
        }
    }

    #[test]
    fn private_addresses_must_be_declared() {
        for url in ["http://127.0.0.1:9/x", "http://10.0.0.1/x", "http://localhost/x", "http://[::1]/x"] {
            assert!(Target::parse(url, false).is_err(), "{url}");
            assert!(Target::parse(url, true).is_ok(), "{url}");
        }
        assert!(
            Target::parse("http://169.254.169.254/latest", true).is_err(),
            "metadata is never a receiver"
        );
    }
}
