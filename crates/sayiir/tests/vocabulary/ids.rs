//! Ids, hashes, priorities, policies and statuses.

use std::time::Duration;

use sayiir::core::{InvalidInstanceId, MAX_INSTANCE_ID_LEN, validate_instance_id};
use sayiir::prelude::*;

#[test]
fn ids_come_from_text_and_are_copied() {
    let id = TaskId::from("charge");
    let copy = id;
    assert_eq!(id, copy);
    assert_eq!(TaskId::from(String::from("charge")), id);
    assert_eq!(WorkflowId::from("orders"), WorkflowId::from(String::from("orders")));
    let bytes: &[u8; 32] = id.as_bytes();
    assert_eq!(bytes.len(), 32);
}

#[test]
fn a_definition_hash_is_parsed_or_made_and_compares_with_text() {
    let hash = DefinitionHash::from("orders v1");
    let hex = hash.to_hex();
    assert_eq!((hex.len(), hash.to_string()), (64, hex.clone()));
    assert_eq!(DefinitionHash::from_hex(&hex).unwrap(), hash);
    assert_eq!(hex.parse::<DefinitionHash>().unwrap(), hash);
    assert!(DefinitionHash::from_hex("orders v1").is_err() && "orders v1".parse::<DefinitionHash>().is_err());
    assert_eq!(DefinitionHash::from(hex.clone()), hash);
    let text = String::from("orders v1");
    assert!(hash == *"orders v1" && hash == "orders v1" && hash == text);
    assert!(hash == hex.as_str() && hash == hex && "orders v1" == hash);
}

#[test]
fn instance_ids_are_checked() {
    assert_eq!(MAX_INSTANCE_ID_LEN, 256);
    assert!(validate_instance_id("a").is_ok() && validate_instance_id(&"a".repeat(256)).is_ok());
    let error: InvalidInstanceId = validate_instance_id("").unwrap_err();
    assert!(error.to_string().contains("empty"));
    assert!(validate_instance_id(&"é".repeat(129)).unwrap_err().to_string().contains("258"), "bytes, not characters");
}

#[test]
fn priorities_policies_and_loop_results_have_their_forms() {
    let numbers = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Minimal].map(Priority::as_u8);
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!((Priority::from_u8(4), Priority::from_u8(6), Priority::default()), (Some(Priority::Low), None, Priority::Normal));

    assert_eq!(ConflictPolicy::default(), ConflictPolicy::Fail);
    assert_eq!(ConflictPolicy::valid_names(), ["fail", "use_existing", "terminate_existing"]);
    for name in ConflictPolicy::valid_names() {
        assert_eq!(name.parse::<ConflictPolicy>().unwrap().to_string(), *name);
    }
    assert_eq!("useExisting".parse::<ConflictPolicy>().unwrap(), ConflictPolicy::UseExisting);
    assert_eq!("terminateExisting".parse::<ConflictPolicy>().unwrap(), ConflictPolicy::TerminateExisting);
    assert_eq!(ConflictPolicy::parse_optional(None).unwrap(), ConflictPolicy::Fail);
    assert_eq!(ConflictPolicy::parse_optional(Some("terminate_existing")).unwrap(), ConflictPolicy::TerminateExisting);
    assert!(ConflictPolicy::parse_optional(Some("replace")).is_err());

    let again = JsonCodec.encode(&LoopResult::Again(3)).unwrap();
    assert_eq!(again, r#"{"_loop":"again","value":3}"#);
    let done = JsonCodec.decode::<LoopResult<u32>>(r#"{"_loop":"done","value":4}"#.into()).unwrap();
    assert!(done.is_done() && !done.is_again());
    assert_eq!(done.into_inner(), 4);
    assert_eq!(MaxIterationsPolicy::default(), MaxIterationsPolicy::Fail);
}

#[test]
fn metadata_is_a_literal() {
    let retries = RetryPolicy::with_max_retries(3);
    assert_eq!((retries.max_retries, retries.initial_delay, retries.max_delay), (3, Duration::from_secs(1), None));
    assert!((retries.backoff_multiplier - 2.0_f32).abs() < f32::EPSILON);
    let metadata = TaskMetadata {
        display_name: Some("Charge".to_owned()),
        description: None,
        timeout: Some(Duration::from_secs(30)),
        retries: Some(RetryPolicy { max_delay: Some(Duration::from_secs(9)), ..retries }),
        tags: vec!["io".to_owned()],
        version: Some("2".to_owned()),
        priority: Some(Priority::High),
    };
    assert_ne!(metadata, TaskMetadata::default());
}
