//! Another binary in place of the running one, as far as the admin API is concerned.

mod site;

use minato_control_server::api::{Status, UpgradeState, UpgradeStatus};
use site::api::{Api, refused};
use site::client::post;

#[tokio::test]
async fn the_own_user_may_ask_and_is_told_why_not() {
    let api = Api::start().await;
    let before: UpgradeStatus = api.get("/v1/upgrade").await.json();
    assert_eq!((before.pid, before.state), (7, UpgradeState::None));
    let asked = r#"{"binary": "/opt/minato-2/minato", "who": "alice"}"#;
    let answer = post(api.at, "/v1/upgrade", asked).await;
    let status: UpgradeStatus = answer.json();
    assert_eq!(status.state, UpgradeState::UnderWay);
    let upgrades = api.view.upgrades.lock().unwrap().clone();
    assert_eq!(upgrades[0].binary.as_deref(), Some("/opt/minato-2/minato"));
    let again = post(api.at, "/v1/upgrade", "{}").await;
    refused(&again, 409, "one is under way");
    let wrong = post(api.at, "/v1/upgrade", "{\"binary\": 1}").await;
    refused(&wrong, 400, "the body is not");
}

#[tokio::test]
async fn status_names_the_processes_that_still_drain() {
    let api = Api::start().await;
    let status: Status = api.get("/v1/status").await.json();
    assert_eq!(status.draining, [5]);
}
