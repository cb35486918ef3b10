//! Outbound connections are opened in one place, behind the egress guard.

use super::Violation;

/// Who may open a connection: `upstream` for the product, and code that only talks to this machine.
const ALLOWED: &[&str] =
    &["crates/upstream/", "crates/testkit/", "crates/xtask/", "crates/tollgate/src/bench"];

// Put together so that this file follows its own rule.
const OPENERS: &[&str] = &[
    concat!("TcpStream::", "connect"),
    concat!("TcpSocket::", "new"),
    concat!("ClientConfig::", "builder"),
    concat!("Tls", "Connector::"),
    concat!("UnixStream::", "connect"),
];

/// Code outside the allowed places opens no connection; tests and examples may.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let is_test =
        path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests" || part == "examples");
    if is_test || !path.starts_with("crates/") || ALLOWED.iter().any(|allowed| path.starts_with(allowed)) {
        return Vec::new();
    }
    let code = content.lines().take_while(|line| *line != "#[cfg(test)]").enumerate();
    code.filter_map(|(index, line)| {
        let opener = OPENERS.iter().find(|opener| line.contains(**opener))?;
        let message =
            format!("`{opener}`: only tollgate-upstream opens outbound connections, call it instead");
        Some(Violation::in_line(path, index, message))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_connections_outside_upstream() {
        let code = format!("let socket = {}(address);\n", OPENERS.first().unwrap());
        assert_eq!(check("crates/control/src/webhook.rs", &code).len(), 1);
        assert_eq!(check("crates/upstream/src/connect.rs", &code), []);
        assert_eq!(check("crates/control/tests/webhook.rs", &code), []);
        assert_eq!(check("crates/control/src/webhook.rs", &format!("#[cfg(test)]\n{code}")), []);
    }
}
