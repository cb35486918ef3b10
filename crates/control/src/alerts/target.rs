//! Where a webhook's events go.

use tollgate_upstream::{Egress, Origin};

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
        let origin = Origin::parse(base, egress).map_err(|error| error.to_string())?;
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
