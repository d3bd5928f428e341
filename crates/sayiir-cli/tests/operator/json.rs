//! What `--json` prints: the documented names, and every status and every way to wait.

use serde_json::{Value, json};

use super::fixture::Fixture;

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_list_has_a_line_for_each_instance() {
    let fixture = Fixture::full();
    let all = lines(&fixture.good("sayiir list --json"));
    assert_eq!(all.len(), 12);
    let find = |id: &str| all.iter().find(|line| line["instance_id"] == id).unwrap();
    for line in &all {
        for field in ["run", "workflow", "version", "definition_hash", "status", "created_at", "updated_at"] {
            assert!(!line[field].is_null(), "{field}: {line}");
        }
    }
    assert_eq!(find("order-2")["error"], "payment/card/charge: attempt 3 failed: the bank says no");
    assert_eq!((&find("order-5")["reason"], &find("order-5")["by"]), (&json!("ordered twice"), &json!("ada")));
    assert_eq!((&find("order-6")["status"], &find("order-6")["by"]), (&json!("paused"), &Value::Null));
    let waits = find("order-4");
    assert_eq!(
        (&waits["status"], &waits["signal"], &waits["node"]),
        (&json!("awaiting_signal"), &json!("approval"), &json!("payment/invoice/approval"))
    );
    assert!(waits["until"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&find("order-7")["status"], &find("order-7")["node"]), (&json!("waiting"), &json!("cool-off")));
}

#[test]
fn a_list_is_filtered_and_paged() {
    let fixture = Fixture::full();
    let ids = |line: &str| -> Vec<String> { fixture.run(&format!("sayiir list --ids {line}")).out.lines().map(str::to_owned).collect() };
    assert_eq!(ids("--workflow import").len(), 2);
    assert_eq!(ids("--status failed"), ["order-2"]);
    assert_eq!(ids("--status paused,cancelled").len(), 2);
    assert_eq!(ids("--status running").len(), 8);
    assert_eq!(ids("--status waiting"), ["order-7"]);
    assert_eq!(ids("--status awaiting_signal --workflow order"), ["order-4"]);
    assert_eq!(ids("--status in_progress").len(), 4);
    assert_eq!(ids("--status waiting,failed,awaiting_signal --by-id"), ["import-1", "import-2", "order-2", "order-4", "order-7"]);
    assert_eq!(ids("--status waiting,running").len(), 8);
    assert_eq!(ids("--status waiting --attribute customer=fay"), Vec::<String>::new());
    assert_eq!(ids("--status in_progress --attribute customer=fay"), ["order-8"]);
    assert_eq!(ids("--status waiting --limit 1"), ["order-7"]);
    assert!(!fixture.run("sayiir list --status waiting --limit 1").err.contains("more"), "the store knows that there are none");
    assert!(ids("--workflow nothing").is_empty());
    // Pages of any size give all instances once, in one order, also where most of a page is filtered out.
    let all = ids("");
    let pages = [("", 1), ("", 5), ("", 11), ("", 12), ("--status running", 3), ("--status in_progress", 1)];
    let orders = ["", "--by-id"];
    for (order, (filter, limit)) in orders.into_iter().flat_map(|order| pages.map(|page| (order, page))) {
        let behind = |id: &str| if order.is_empty() { fixture.record(id).summary.run.to_string() } else { id.to_owned() };
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().map_or_else(String::new, |last| format!("--after {}", behind(last)));
            let page = ids(&format!("{order} {filter} --limit {limit} {after}"));
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, ids(&format!("{order} {filter}")), "{order} {filter} {limit}");
        assert!(found.iter().all(|id| all.contains(id)));
    }
    assert_eq!(ids("--attribute customer=fay --attribute 'euros>=5'"), ["order-8"]);
    assert!(ids("--attribute euros:text=5").is_empty() && ids("--attribute 'euros<=4'").is_empty());
    assert_eq!(fixture.json("sayiir list --json --attribute customer=fay")["attributes"], json!({"customer": "fay", "euros": 5}));
    assert_eq!(ids("--error 'bank says'"), ["order-2"]);
    assert!(ids("--error 'bank shouts'").is_empty());
    assert_eq!(ids("--older-than 1d"), ["order-1"]);
    assert_eq!(ids("--newer-than 1d").len(), 11);
    assert_eq!(ids("--unchanged-for 12h"), ["order-1"]);
    assert!(ids("--changed-within 1h").is_empty());
    assert_eq!(ids("--by-id").first().map(String::as_str), Some("import-1"));
    assert_eq!(ids("").first().map(String::as_str), Some("order-10"), "the newest");
    let page = fixture.run("sayiir list --limit 3");
    assert!(page.err.starts_with("there are more: --after "), "{}", page.err);
    assert_eq!(fixture.run("sayiir list --limit 12").err, "");
}

#[test]
fn one_instance_is_one_object() {
    let fixture = Fixture::full();
    let ended = fixture.json("sayiir show order-1 --json --payloads");
    assert_eq!((&ended["input"], &ended["output"]), (&json!({"json": {"customer": "ada", "euros": 42}}), &json!({"json": "42 euros"})));
    assert_eq!(ended["branches"], json!([]));
    let journal = ended["journal"].as_array().unwrap();
    assert_eq!((&journal[0]["kind"], &journal[0]["took_seconds"]), (&json!("started"), &Value::Null));
    let charge = journal.iter().find(|row| row["node"] == "payment/card/charge").unwrap();
    assert_eq!((&charge["kind"], &charge["attempt"], &charge["took_seconds"]), (&json!("task_completed"), &json!(1), &json!(1.34)));
    assert_eq!((&charge["output"], &charge["handed_on"]), (&json!({"json": 42}), &json!({"json": {"branch": "card", "result": 42}})));
    let route = journal.iter().find(|row| row["kind"] == "route_taken").unwrap();
    assert_eq!(route["output"], json!({"text": "card"}));
    // Without being asked for, no value is shown, but for a route's key.
    let bare = fixture.json("sayiir show order-1 --json");
    assert!(bare["input"].is_null() && bare["output"].is_null());
    assert_eq!(bare["journal"].as_array().unwrap().iter().filter(|row| !row["output"].is_null()).count(), 1);
    assert_eq!(fixture.json("sayiir show order-1 --json --last 2")["journal"].as_array().unwrap().len(), 2);
}

#[test]
fn each_branch_says_what_it_does() {
    let fixture = Fixture::full();
    let branch = |id: &str, at: usize| fixture.json(&format!("sayiir show {id} --json"))["branches"][at].clone();
    for (id, at, doing, node) in [
        ("order-2", 0, "failed", "payment/card/charge"),
        ("order-3", 0, "backs_off", "payment/card/charge"),
        ("order-4", 0, "awaits_signal", "payment/invoice/approval"),
        ("order-6", 0, "held", "payment/invoice/approval"),
        ("order-7", 0, "waits", "cool-off"),
        ("order-8", 0, "ready", "check"),
        ("order-9", 0, "runs", "payment/card/charge"),
        ("order-10", 0, "lapsed", "check"),
        ("import-1", 0, "joins", "merged"),
        ("import-1", 1, "awaits_signal", "merged/permit/permit"),
        ("import-2", 0, "awaits_signal", "pages[1]/gate"),
    ] {
        let branch = branch(id, at);
        assert_eq!((&branch["doing"], &branch["node"]), (&json!(doing), &json!(node)), "{id}: {branch}");
    }
    assert_eq!(branch("order-3", 0)["attempt"], 2);
    assert_eq!(branch("order-9", 0)["progress"]["payload"], json!({"asked": 3, "of": 4}));
    assert_eq!(branch("order-10", 0)["crashes"], 1);
    assert_eq!(branch("import-1", 0)["children"], 1);
    assert_eq!(branch("import-1", 1)["signal"], "permit");
}

#[test]
fn a_drawing_needs_no_code() {
    let fixture = Fixture::full();
    let of_instance = fixture.json("sayiir graph order-4 --json");
    assert_eq!((&of_instance["workflow"], &of_instance["version"]), (&json!("order"), &json!("2")));
    let mermaid = of_instance["mermaid"].as_str().unwrap();
    assert!(mermaid.contains("approval: waits for approval<br/>awaits signal for 7h"), "{mermaid}");
    assert_eq!(of_instance["branches"][0]["doing"], "awaits_signal");
    let nodes: Vec<&str> = of_instance["nodes"].as_array().unwrap().iter().map(|node| node["path"].as_str().unwrap()).collect();
    assert!(nodes.contains(&"payment/invoice/approval"), "{nodes:?}");

    let hash = of_instance["definition_hash"].as_str().unwrap();
    let by_hash = fixture.good(&format!("sayiir graph --definition {hash}"));
    assert_eq!(by_hash, fixture.good("sayiir graph --definition order"));
    assert!(by_hash.starts_with("flowchart TD") && !by_hash.contains("class "), "{by_hash}");
    assert!(fixture.bad(1, "sayiir graph --definition nothing").contains("no instance of a workflow \"nothing\""));
}

#[test]
fn each_of_several_ids_has_a_line() {
    let fixture = Fixture::full();
    let ran = fixture.run("sayiir pause order-4 order-1 nobody --json");
    let all = lines(&ran.out);
    assert_eq!((ran.code, all.len(), ran.err.as_str()), (1, 3, ""));
    assert_eq!(all[0], json!({"instance_id": "order-4", "done": true}));
    assert_eq!(all[1]["done"], false);
    assert!(all[1]["error"].as_str().unwrap().contains("completed"), "{}", all[1]);
    assert!(all[2]["error"].as_str().unwrap().contains("no instance"), "{}", all[2]);
}
