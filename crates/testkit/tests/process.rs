//! Starting a child process tells what went wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt};

use tollgate_testkit::{Settings, TollgateProcess};

#[tokio::test]
async fn a_process_that_exits_shows_its_arguments_and_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let binary = directory.path().join("fake");
    fs::write(&binary, "#!/bin/sh\necho \"called with $*\"\necho no luck >&2\nexit 3\n").unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let settings = Settings {
        config: Some("{}".to_owned()),
        arguments: vec!["--demo".to_owned()],
        binary: Some(binary),
        ..Settings::default()
    };
    let message = TollgateProcess::start(settings).await.unwrap_err().to_string();
    for part in
        ["exit status: 3", "no luck", "serve --listen 127.0.0.1:", "--bootstrap-file", "--config", "--demo"]
    {
        assert!(message.contains(part), "'{part}' is missing in: {message}");
    }
}
