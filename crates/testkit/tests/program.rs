//! The program for other languages: one line of JSON, then it serves until its input closes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use tollgate_testkit::RawClient;

#[tokio::test]
async fn prints_its_address_and_ends_with_its_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_scripted-provider"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let hello: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut client = RawClient::connect(hello["address"].as_str().unwrap().parse().unwrap()).await.unwrap();
    assert_eq!(client.get("/v1/models", &[]).await.unwrap().status, 200);
    writeln!(input, "requests").unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    let requests: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(requests[0]["target"], "/v1/models");
    drop(input);
    assert!(child.wait().unwrap().success());
}
