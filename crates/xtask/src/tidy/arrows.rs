//! Which crate may know which. The tables here are the whole truth about the arrows of the house.

use super::Violation;
use crate::workspace::{Dependency, Metadata, Package};

/// Each crate and the crates of the workspace that it may depend on.
///
/// The data plane (gateway) and the control plane (control) do not know each other, and the data plane
/// never sees SQL; ledger and access get their storage as a trait, which store implements.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("wire", &["core"]),
    ("catalog", &["core"]),
    ("state", &["core", "wire", "catalog"]),
    ("telemetry", &["core", "wire", "catalog"]),
    ("ledger", &["core", "wire", "catalog", "state"]),
    ("access", &["core", "wire", "catalog", "state"]),
    ("providers", &["core", "wire", "catalog", "state"]),
    ("upstream", &["core", "wire", "catalog", "state"]),
    ("store", &["core", "wire", "catalog", "state", "ledger", "access"]),
    (
        "gateway",
        &["core", "wire", "catalog", "state", "ledger", "access", "providers", "upstream", "telemetry"],
    ),
    (
        "control",
        &[
            "core",
            "wire",
            "catalog",
            "state",
            "ledger",
            "access",
            "providers",
            "upstream",
            "telemetry",
            "store",
        ],
    ),
    ("simulator", &["core", "wire"]),
    (
        "tollgate",
        &[
            "core",
            "wire",
            "catalog",
            "state",
            "ledger",
            "access",
            "providers",
            "upstream",
            "telemetry",
            "store",
            "gateway",
            "control",
            "simulator",
        ],
    ),
    (
        "testkit",
        &[
            "core",
            "wire",
            "catalog",
            "state",
            "ledger",
            "access",
            "providers",
            "upstream",
            "telemetry",
            "store",
            "gateway",
            "control",
            "simulator",
            "tollgate",
        ],
    ),
    ("xtask", &[]),
];

/// Crates of the workspace that tests may use besides the ones of [`ARROWS`].
const FOR_TESTS: &[&str] = &["testkit", "simulator"];

/// Libraries that belong to some crates only, and why.
const OWNED_LIBRARIES: &[(&str, &[&str], &str)] = &[
    ("sqlx", &["store", "testkit"], "all SQL is in tollgate-store; testkit only makes throw-away databases"),
    ("axum", &["control", "tollgate"], "the data plane is built on hyper, and the rest serves nothing"),
    (
        "tokio-rustls",
        &["upstream", "gateway", "tollgate", "testkit"],
        "TLS is for listeners and for upstream",
    ),
    ("rustls-native-certs", &["upstream"], "only tollgate-upstream trusts other servers"),
];

/// Crates without I/O, and the libraries that would bring it.
const PURE: &[&str] = &["core", "wire", "catalog", "state"];
const IO_LIBRARIES: &[&str] =
    &["tokio", "hyper", "hyper-util", "sqlx", "axum", "socket2", "rustls", "reqwest"];

/// Every dependency between crates of the workspace, and every library with an owner, is allowed.
pub(super) fn check(metadata: &Metadata) -> Vec<Violation> {
    metadata.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Violation> {
    let name = short_name(&package.name);
    let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| *crate_name == name) else {
        let message =
            "this crate has no place in the house: add it to ARROWS in crates/xtask/src/tidy/arrows.rs";
        return vec![Violation::new(&package.name, message)];
    };
    let broken = package.dependencies.iter().filter_map(|dependency| broken_rule(name, allowed, dependency));
    broken.map(|message| Violation::new(&package.name, message)).collect()
}

fn broken_rule(name: &str, allowed: &[&str], dependency: &Dependency) -> Option<String> {
    let is_test = dependency.kind.as_deref() == Some("dev");
    let target = short_name(&dependency.name);
    if ARROWS.iter().any(|(crate_name, _)| *crate_name == target) {
        let is_allowed = allowed.contains(&target) || (is_test && FOR_TESTS.contains(&target));
        return (!is_allowed).then(|| arrow_message(target, allowed));
    }
    if is_test {
        return None;
    }
    if PURE.contains(&name) && IO_LIBRARIES.contains(&target) {
        return Some(format!("must not depend on {target}: {} do no I/O", PURE.join(", ")));
    }
    let (_, owners, reason) = OWNED_LIBRARIES.iter().find(|(library, ..)| *library == target)?;
    (!owners.contains(&name)).then(|| format!("must not depend on {target}: {reason}"))
}

fn arrow_message(target: &str, allowed: &[&str]) -> String {
    let known = if allowed.is_empty() { "no other crate".to_owned() } else { allowed.join(", ") };
    format!("must not depend on {target}; it may know {known}")
}

fn short_name(package: &str) -> &str {
    package.strip_prefix("tollgate-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(package: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let dependency = Dependency { name: dependency.to_owned(), kind: kind.map(str::to_owned) };
        let package =
            Package { name: package.to_owned(), dependencies: vec![dependency], targets: Vec::new() };
        check_package(&package).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn planes_do_not_know_each_other_and_the_data_plane_sees_no_sql() {
        for (from, to) in [("gateway", "control"), ("control", "gateway"), ("gateway", "store")] {
            let broken = messages(&format!("tollgate-{from}"), &format!("tollgate-{to}"), None);
            assert_eq!(broken.len(), 1, "{from} to {to}");
        }
        assert!(messages("tollgate-gateway", "tollgate-ledger", None).is_empty());
        assert!(messages("tollgate-control", "tollgate-store", None).is_empty());
    }

    #[test]
    fn every_forbidden_edge_stays_forbidden_in_tests() {
        assert_eq!(messages("tollgate-gateway", "tollgate-store", Some("dev")).len(), 1);
        assert!(messages("tollgate-gateway", "tollgate-testkit", Some("dev")).is_empty());
        assert_eq!(messages("tollgate-gateway", "tollgate-testkit", None).len(), 1);
    }

    #[test]
    fn arrows_point_one_way() {
        for (index, (name, allowed)) in ARROWS.iter().enumerate() {
            for target in *allowed {
                let position = ARROWS.iter().position(|(crate_name, _)| crate_name == target);
                assert!(
                    position.is_some_and(|position| position < index),
                    "{name} points forward to {target}"
                );
            }
        }
    }

    #[test]
    fn pure_crates_do_no_input_or_output() {
        assert_eq!(messages("tollgate-wire", "tokio", None).len(), 1);
        assert!(messages("tollgate-wire", "tokio", Some("dev")).is_empty());
        assert!(messages("tollgate-upstream", "tokio", None).is_empty());
    }

    #[test]
    fn libraries_have_owners() {
        assert_eq!(messages("tollgate-control", "sqlx", None).len(), 1);
        assert!(messages("tollgate-store", "sqlx", None).is_empty());
    }

    #[test]
    fn an_unknown_crate_is_refused() {
        assert_eq!(messages("tollgate-billing", "serde", None).len(), 1);
    }
}
