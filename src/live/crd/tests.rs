use serde_json::json;

use super::*;
use crate::live::kubernetes::tests::server;

fn decoded(eip: Value) -> Eip {
    serde_json::from_value(eip).unwrap()
}

#[test]
fn the_definition_bears_the_fixed_names() {
    let crd = serde_json::to_value(Eip::crd()).unwrap();
    assert_eq!(crd["metadata"]["name"], CRD_NAME);
    assert_eq!(crd["spec"]["group"], "materialize.cloud");
    assert_eq!(crd["spec"]["scope"], "Namespaced");
    assert_eq!(
        crd["spec"]["names"],
        json!({"kind": "Eip", "plural": "eips", "singular": "eip", "shortNames": ["eip"],
               "categories": ["aws"]})
    );
    let versions = crd["spec"]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0]["name"], "v1");
    assert_eq!(versions[0]["subresources"], json!({"status": {}}));
}

#[test]
fn the_columns_are_the_documented_ones_and_the_wide_ones_have_priority_1() {
    let crd = serde_json::to_value(Eip::crd()).unwrap();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let names = |wide: bool| -> Vec<&str> {
        let wide = if wide { 1 } else { 0 };
        let some = columns.iter().filter(|c| c["priority"].as_i64().unwrap_or(0) == wide);
        some.map(|column| column["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names(false), ["Public IP", "Pod", "Ready", "Reason", "Age"]);
    assert_eq!(names(true), ["Allocation", "ENI", "Private IP"]);
}

#[test]
fn the_schema_is_strict_about_the_pod_name_and_merges_conditions_by_type() {
    let crd = serde_json::to_value(Eip::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(schema["required"], json!(["spec"]));
    let spec = &schema["properties"]["spec"];
    assert_eq!(spec["required"], json!(["podName"]));
    let pod_name = &spec["properties"]["podName"];
    assert_eq!((&pod_name["minLength"], &pod_name["maxLength"]), (&json!(1), &json!(253)));
    assert!(pod_name["pattern"].is_string());
    assert!(pod_name.get("default").is_none());
    let status = &schema["properties"]["status"];
    assert!(status.get("required").is_none(), "{status}");
    let conditions = &status["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn the_yaml_is_the_same_each_time_and_says_the_same_as_the_type() {
    let yaml = crd_yaml().unwrap();
    assert_eq!(yaml, crd_yaml().unwrap());
    let back: CustomResourceDefinition = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(back, Eip::crd());
}

#[test]
fn a_status_goes_out_and_comes_back_whole() {
    let status = json!({
        "allocationId": "eipalloc-1", "publicIpAddress": "203.0.113.9", "eni": "eni-1",
        "privateIpAddress": "10.0.0.1", "resourceId": "web", "associationId": "eipassoc-1",
        "observedGeneration": 3,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Associated", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    let read: EipStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), status);
    assert_eq!(serde_json::to_value(EipStatus::default()).unwrap(), json!({}));
}

#[test]
fn objects_of_other_shapes_do_not_fail_the_list() {
    let metadata = json!({"name": "web", "namespace": "team"});
    let old = decoded(json!({
        "apiVersion": "materialize.cloud/v1", "kind": "Eip", "metadata": metadata,
        "spec": {"selector": {"pod": {"podName": "web"}}},
        "status": {
            "allocationId": 7, "publicIpAddress": "203.0.113.9", "eni": null, "stranger": true,
            "conditions": [{"type": "Ready"}, "x",
                {"type": "Ready", "status": "True", "reason": "R", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }));
    assert_eq!(old.spec.pod_name, "");
    let status = old.status.unwrap();
    assert_eq!(status.allocation_id, None);
    assert_eq!(status.public_ip_address.as_deref(), Some("203.0.113.9"));
    assert_eq!(status.conditions.unwrap().len(), 1, "the readable one");
    for odd in [json!("x"), json!([]), json!({"conditions": {}})] {
        let eip = decoded(json!({
            "apiVersion": "materialize.cloud/v1", "kind": "Eip", "metadata": metadata,
            "spec": 5, "status": odd,
        }));
        assert_eq!(eip.status, Some(EipStatus::default()));
    }
}

#[test]
fn the_refusal_of_another_stored_version_says_why_and_where_the_recipe_is() {
    let told = CrdError::StoredVersions(vec!["v1".into(), "v2".into()]).to_string();
    assert!(
        told.starts_with("the cluster stores eips.materialize.cloud as v1, v2, accepted is v1")
    );
    let section = "Moving over from the older operator";
    assert!(told.ends_with(&format!("by the recipe of README.md, \"{section}\"")), "{told}");
    let readme = include_str!("../../../README.md");
    assert!(
        readme.lines().any(|line| line == format!("## {section}")),
        "README.md has no {section}"
    );
}

#[test]
fn what_passes_by_itself_is_told_from_what_does_not() {
    let status = |code| Status { code, ..Status::default() };
    for code in [404, 429, 503] {
        assert!(soon(&status(code)), "{code}");
    }
    for code in [400, 401, 403, 500] {
        assert!(!soon(&status(code)), "{code}");
    }
}

fn crd_storing(versions: &[&str]) -> (u16, Value) {
    let mut crd = serde_json::to_value(Eip::crd()).unwrap();
    crd["status"] = json!({"storedVersions": versions});
    (200, crd)
}

#[tokio::test]
async fn the_definition_is_applied_where_it_is_missing_or_stored_as_v1() {
    for present in [server::failure(404, "not found"), crd_storing(&["v1"])] {
        let (client, asked) = server::answering(vec![present, crd_storing(&["v1"])]).await;
        install(client, "eip.materialize.cloud").await.unwrap();
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/eips.materialize.cloud";
        let asked = asked.lock().unwrap();
        assert!(asked[0].starts_with(&format!("GET {path}")), "{asked:?}");
        assert!(asked[1].starts_with(&format!("PATCH {path}?")), "{asked:?}");
        assert!(asked[1].contains("force=true&fieldManager=eip.materialize.cloud"), "{asked:?}");
    }
}

#[tokio::test]
async fn a_definition_that_stores_another_version_is_left_alone() {
    let (client, asked) = server::answering(vec![crd_storing(&["v1", "v2"])]).await;
    let refused = install(client, "x").await.unwrap_err();
    assert!(matches!(&refused, CrdError::StoredVersions(stored) if stored == &["v1", "v2"]));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn who_does_not_install_it_refuses_the_same_and_is_not_stopped_by_a_missing_right() {
    let (client, _) = server::answering(vec![crd_storing(&["v2"])]).await;
    let refused = stored_as_v1(client).await.unwrap_err();
    assert!(matches!(&refused, CrdError::StoredVersions(stored) if stored == &["v2"]));
    for fine in [crd_storing(&["v1"]), server::failure(404, "none"), server::failure(403, "no")] {
        let (client, asked) = server::answering(vec![fine]).await;
        stored_as_v1(client).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
    let (client, _) = server::answering(vec![server::failure(500, "etcd is away")]).await;
    let told = stored_as_v1(client).await.unwrap_err().to_string();
    assert_eq!(told, "cannot read the definition: etcd is away");
}

#[tokio::test]
async fn waiting_goes_on_through_the_first_moments() {
    let answers = vec![
        server::failure(404, "not found"),
        server::failure(429, "storage is (re)initializing"),
        server::failure(503, "later"),
        (
            200,
            json!({"apiVersion": "materialize.cloud/v1", "kind": "EipList", "metadata": {},
                     "items": []}),
        ),
    ];
    let (client, asked) = server::answering(answers).await;
    wait_served(client, Some("team")).await.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    assert!(asked[3].starts_with("GET /apis/materialize.cloud/v1/namespaces/team/eips?"));
    assert!(asked[3].contains("limit=1"), "{asked:?}");
}

#[tokio::test]
async fn a_missing_right_is_told_at_once() {
    let (client, asked) = server::answering(vec![server::failure(403, "eips is forbidden")]).await;
    let told = wait_served(client, None).await.unwrap_err().to_string();
    let expected = "cannot list eips: it is forbidden; grant the verb list on \
                    eips.materialize.cloud \
                    to this service account (eips is forbidden)";
    assert_eq!(told, expected);
    assert_eq!(asked.lock().unwrap().len(), 1);
}
