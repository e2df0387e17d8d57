//! JSON in and out, a query, and limits of the input.

use serde_json::{Value, json};

use crate::asking::{Served, ask, ask_with_body};
use crate::programs::web_server;

#[test]
fn notes_are_taken_and_found_as_json() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let add = |body: &str, kind: &str| {
        let answer = ask_with_body(served.address, &format!("POST /notes\ncontent-type: {kind}"), body.as_bytes());
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    };
    assert_eq!(add(r#"{"text": "buy milk"}"#, "application/json"), (201, json!({"id": 1, "text": "buy milk"})));
    assert_eq!(add(r#"{"text": "sell \u00e9clairs"}"#, "application/json"), (201, json!({"id": 2, "text": "sell éclairs"})));
    assert_eq!(add(r#"{"text": "a"}"#, "text/plain").0, 415);
    assert_eq!(add(r#"{"text": 5}"#, "application/json").0, 422);
    assert_eq!(add(r#"{"text": "#, "application/json").0, 400);
    assert_eq!(add(&json!({ "text": "a".repeat(1001) }).to_string(), "application/json").0, 422);
    assert_eq!(add(&json!({ "text": "a".repeat(65 << 10) }).to_string(), "application/json").0, 413);
    let list =
        |query: &str| -> Value { serde_json::from_slice(&ask(served.address, &format!("GET /notes{query}")).body).unwrap() };
    assert_eq!(list("").as_array().unwrap().len(), 2);
    assert_eq!(list("?contains=%C3%A9"), json!([{"id": 2, "text": "sell éclairs"}]));
    assert_eq!(ask(served.address, "DELETE /notes").status, 405);
    assert_eq!(ask(served.address, "GET /elsewhere").status, 404);
}

#[test]
fn only_the_last_thousand_notes_are_kept() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    for number in 0..1001 {
        let answer = ask_with_body(
            served.address,
            "POST /notes\ncontent-type: application/json",
            format!("{{\"text\": \"{number}\"}}").as_bytes(),
        );
        assert_eq!(answer.status, 201);
    }
    let list: Value = serde_json::from_slice(&ask(served.address, "GET /notes").body).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["text"]), (1000, &json!("1")));
}
