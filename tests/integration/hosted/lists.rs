//! Lists, page by page, and deleting many images at once.

use hyper::Method;
use serde_json::{Value, json};

use super::{Form, HostedProxy, assert_error, png, result};

/// Images `i0` to `i4`, in this order; even ones of creator `u1`, with metadata.
async fn with_images() -> HostedProxy {
    let hosted = HostedProxy::start().await;
    for number in 0..5 {
        let meta = json!({"n": number, "place": {"name": format!("p{number}")}});
        let mut form = Form::default()
            .text("id", &format!("i{number}"))
            .text("metadata", &meta.to_string());
        if number % 2 == 0 {
            form = form.text("creator", "u1");
        }
        let form = form.file(&format!("f{number}.png"), &png());
        result(&hosted.form(Method::POST, "/images/v1", form).await);
    }
    hosted
}

fn ids(list: &Value) -> Vec<&str> {
    let images = list["images"].as_array().expect("a list");
    let ids = images.iter().map(|image| image["id"].as_str());
    ids.map(|id| id.expect("an ID")).collect()
}

#[tokio::test]
async fn pages_have_numbers_or_tokens() {
    let hosted = with_images().await;
    let reply = hosted.get("/images/v1?per_page=2&page=2").await;
    let list = result(&reply);
    assert_eq!(ids(&list), ["i2", "i1"]);
    assert_eq!(list["items"][0]["images"], list["images"]);
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(
        document["result_info"],
        json!({"page": 2, "per_page": 2, "count": 2, "total_count": 5})
    );
    let past = result(&hosted.get("/images/v1?per_page=2&page=4").await);
    assert_eq!(past, json!({"images": [], "items": []}));
    for (order, expected) in [
        ("asc", ["i0", "i1", "i2", "i3", "i4"]),
        ("desc", ["i4", "i3", "i2", "i1", "i0"]),
    ] {
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..3 {
            let target =
                format!("/images/v2?per_page=2&sort_order={order}&continuation_token={token}");
            let list = result(&hosted.get(&target).await);
            found.extend(ids(&list).into_iter().map(str::to_owned));
            token = list["continuation_token"].as_str().unwrap_or("").to_owned();
        }
        assert_eq!(found, expected);
        assert_eq!(token, "");
    }
    let list = result(&hosted.get("/images/v2?per_page=2&sort_order=asc").await);
    let token = list["continuation_token"].as_str().expect("more");
    let other = format!("/images/v2?sort_order=desc&continuation_token={token}");
    assert_error(&hosted.get(&other).await, 400, 5400);
}

#[tokio::test]
async fn lists_are_filtered() {
    let hosted = with_images().await;
    result(
        &hosted
            .call(Method::POST, "/images/v2/direct_upload", r#"{"id":"d"}"#)
            .await,
    );
    for (query, expected) in [
        ("creator=u1", &["i0", "i2", "i4"][..]),
        ("creator=", &["i1", "i3"]),
        ("prefix=i3", &["i3"]),
        ("filename=f1.png", &["i1"]),
        ("uploaded_before=2020-01-01T00:00:00Z", &[]),
        (
            "uploaded_after=2020-01-01T00:00:00Z&creator=",
            &["i1", "i3"],
        ),
        ("draft=true", &["d"]),
        ("meta.n%5Beq%5D=3", &["i3"]),
        ("meta.n%5Bgte%3Anumber%5D=3", &["i3", "i4"]),
        ("meta.place.name%5Bin%5D=p0%7Cp4&creator=u1", &["i0", "i4"]),
        ("meta.n%5Beq%3Astring%5D=3", &[]),
    ] {
        let target = format!("/images/v2?sort_order=asc&{query}");
        let list = result(&hosted.get(&target).await);
        assert_eq!(ids(&list), expected, "{query}");
    }
    let list = result(&hosted.get("/images/v1?creator=").await);
    assert_eq!(ids(&list), ["i3", "i1"]);
}

#[tokio::test]
async fn many_are_deleted_only_when_their_number_is_confirmed() {
    let hosted = with_images().await;
    let delete = async |query: &str, body: &str| {
        let target = format!("/images/v2{query}");
        hosted.call(Method::DELETE, &target, body).await
    };
    for query in [
        "",
        "?confirm=5",
        "?creator=u1",
        "?prefix=&confirm=5",
        "?filename=&confirm=5",
        "?creator=u1&confirm=2",
        "?ids=i1",
        "?ids=i1&creator=u1&confirm=1",
        "?ids=a%2F%2Fb&confirm=1",
    ] {
        let status = if query.contains("%2F") { 5411 } else { 5400 };
        assert_error(&delete(query, "").await, 400, status);
    }
    let message = assert_error(&delete("?creator=u1", "").await, 400, 5400);
    assert!(message.contains("`confirm=3`"), "{message}");
    let outcome = result(&delete("?creator=u1&confirm=3", "").await);
    assert_eq!(outcome, json!({"deleted": 3, "missing": []}));
    let outcome = result(&delete("", r#"{"ids":["i1","nowhere"],"confirm":2}"#).await);
    assert_eq!(outcome, json!({"deleted": 1, "missing": ["nowhere"]}));
    assert_eq!(ids(&result(&hosted.get("/images/v2").await)), ["i3"]);
}
