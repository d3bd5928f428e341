//! What is wrong is said in one line, with what to do, and by the exit code.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use super::fixture::Fixture;
use super::shell::ran;

const VERBS: &[&str] = &[
    "list",
    "show x",
    "graph x",
    "signal x go",
    "cancel x",
    "pause x",
    "unpause x",
    "wait x",
    "delete x --yes",
    "retry x",
    "rewind x --to y",
];

#[test]
fn an_unknown_instance_is_named_by_every_verb() {
    let fixture = Fixture::empty();
    for verb in VERBS.iter().filter(|verb| **verb != "list") {
        let line = fixture.bad(1, &format!("sayiir {verb}"));
        assert!(line.contains("there is no instance \"x\" in sqlite:orders.db"), "{verb}: {line}");
        assert_eq!(line.lines().count(), 1);
    }
    assert_eq!(fixture.run("sayiir list").err, "no such instance in sqlite:orders.db\n");
    assert_eq!(fixture.good("sayiir list --json"), "");
}

#[test]
fn no_verb_makes_a_store() {
    let fixture = Fixture::empty();
    for verb in VERBS {
        let line = fixture.bad(1, &format!("sayiir {verb} --store sqlite:none.db"));
        assert!(line.contains("there is no file none.db"), "{verb}: {line}");
    }
    assert!(!fixture.path().join("none.db").exists());
}

#[test]
fn a_store_must_be_named_and_of_a_known_kind() {
    let fixture = Fixture::empty();
    for verb in VERBS {
        let line = fixture.bad(2, &format!("SAYIIR_STORE= sayiir {verb}"));
        assert!(line.contains("--store URL or in SAYIIR_STORE") && line.contains("sqlite:PATH"), "{verb}: {line}");
        let line = fixture.bad(2, &format!("sayiir {verb} --store mysql://ada:hunter22@db/orders"));
        assert!(line.contains("\"mysql\"") && line.contains("sqlite:PATH") && !line.contains("hunter22"), "{verb}: {line}");
    }
    assert!(fixture.bad(2, "sayiir list --store orders.db").contains("sqlite:orders.db?"));
}

#[test]
fn the_store_of_the_environment_is_in_no_help() {
    let fixture = Fixture::empty();
    for verb in ["", "list", "show", "delete"] {
        let help = fixture.good(&format!("SAYIIR_STORE=mysql://ada:hunter22@db/orders sayiir {verb} --help"));
        assert!(!help.contains("hunter22") && help.contains("Exit status") | help.contains("SAYIIR_STORE"), "{help}");
    }
}

#[test]
fn a_file_that_is_no_store_of_this_version_is_left_as_it_is() {
    let fixture = Fixture::empty();
    let at = |name: &str| fixture.path().join(name);
    fs::write(at("text.db"), "x".repeat(4096)).unwrap();
    fs::write(at("empty.db"), "").unwrap();
    fs::write(at("old.db"), include_bytes!("../../../sayiir-sqlite/tests/golden/version-1.db")).unwrap();
    let other = rusqlite::Connection::open(at("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    let newer = rusqlite::Connection::open(at("newer.db")).unwrap();
    newer.execute_batch("CREATE TABLE t (x); PRAGMA application_id = 0x53617969; PRAGMA user_version = 99").unwrap();
    drop((other, newer));
    for (name, words) in [
        ("text.db", "not a database"),
        ("empty.db", "the file is empty"),
        ("old.db", "version 1"),
        ("other.db", "no store of Sayiir's"),
        ("newer.db", "a newer Sayiir wrote this file"),
    ] {
        let before = fs::read(at(name)).unwrap();
        let line = fixture.bad(1, &format!("sayiir list --store sqlite:{name}"));
        assert!(line.contains(words) && line.contains(name), "{name}: {line}");
        assert_eq!(fs::read(at(name)).unwrap(), before, "{name}");
    }
    assert!(fixture.bad(1, "sayiir list --store sqlite:.").contains("is a directory"));
}

#[test]
fn a_file_that_may_not_be_written_says_so() {
    let fixture = Fixture::empty();
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(fixture.file(), fs::Permissions::from_mode(0o444)).unwrap();
    let mut command = fixture.command("sayiir list");
    // Root may write everything.
    if fs::OpenOptions::new().append(true).open(fixture.file()).is_ok() {
        command.uid(65534).gid(65534);
    }
    let ran = ran(&command.output().unwrap());
    fs::set_permissions(fixture.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("read-only"), "{}", ran.err);
}

#[test]
fn wrong_usage_exits_with_2() {
    let fixture = Fixture::empty();
    for line in [
        "list --status broken",
        "list --limit 0",
        "list --ids --json",
        "show",
        "show x --all --last 3",
        "graph",
        "graph x --definition y",
        "signal x",
        "signal x go a --file b",
        "signal x go --file none",
        "cancel",
        "wait x --timeout soon",
        "delete x",
        "list --attribute customer",
        "list --attribute 'customer>=acme'",
        "list --older-than soon",
        "list --after order-1",
        "rewind x",
        "purge",
        "purge --older-than 30",
        "completions tcsh",
    ] {
        let ran = fixture.run(&format!("sayiir {line}"));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
    }
}

#[test]
fn nobody_is_asked_where_nobody_can_answer() {
    let fixture = Fixture::full();
    assert!(fixture.bad(2, "echo y | sayiir delete order-1").contains("--yes"));
    assert_eq!(fixture.good("sayiir delete order-1 --yes"), "deleted order-1\n");
    assert!(fixture.bad(1, "sayiir show order-1").contains("there is no instance"));
}

#[test]
fn an_event_that_would_be_of_no_use_is_refused_unless_it_is_forced() {
    let fixture = Fixture::full();
    for (line, code, words) in [
        ("order-99 approval 1", 1, "with --force the event waits"),
        ("order-4 aproval 1", 1, "\"order\" never waits for \"aproval\", but for \"approval\""),
        ("order-4 approval yes", 2, "its quotes"),
        ("order-1 approval 1", 1, "order-1\" is completed"),
    ] {
        let said = fixture.bad(code, &format!("sayiir signal {line}"));
        assert!(said.contains(words), "{line}: {said}");
    }
    fixture.good("sayiir signal order-99 approval 1 --force");
    fixture.good("sayiir signal order-4 aproval yes --force");
    assert!(fixture.bad(1, "sayiir signal order-1 approval 1 --force").contains("is completed"));
}

#[test]
fn a_reader_that_goes_away_ends_the_verb_quietly() {
    let fixture = Fixture::full();
    for line in ["sayiir list --json", "sayiir show order-1 --json", "sayiir completions bash", "sayiir man"] {
        let mut child = fixture.command(&format!("exec {line}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = ran(&child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn what_the_libraries_say_is_heard_if_it_is_asked_for() {
    let fixture = Fixture::full();
    assert_eq!(fixture.run("sayiir list").err, "");
    let ran = fixture.run("RUST_LOG=trace sayiir list");
    assert_eq!((ran.code, ran.out), (0, fixture.good("sayiir list")));
}

#[test]
fn a_payload_comes_from_a_file_or_a_pipe_byte_for_byte() {
    let fixture = Fixture::full();
    let mut file = fs::File::create(fixture.path().join("by.json")).unwrap();
    file.write_all(b"\"carl\"\n").unwrap();
    assert_eq!(fixture.good("sayiir signal import-1 permit --file by.json --key 1"), "sent \"permit\" to import-1\n");
    assert_eq!(
        fixture.good("printf 7 | sayiir signal import-2 gate - --json"),
        "{\"instance_id\":\"import-2\",\"signal\":\"gate\",\"bytes\":1}\n"
    );
    fixture.good("sayiir signal import-2 gate -- -1");
    let store = &fixture.store;
    let event =
        |id: &'static str, name: &'static str, seq| fixture.block_on(sayiir::persistence::Store::read_event(store, id, name, seq)).unwrap();
    assert_eq!(event("import-1", "permit", 1).as_deref(), Some(&b"\"carl\"\n"[..]));
    assert_eq!(event("import-2", "gate", 3).as_deref(), Some(&b"7"[..]));
    assert_eq!(event("import-2", "gate", 4).as_deref(), Some(&b"-1"[..]));
    // The same key again sends nothing.
    fixture.good("sayiir signal import-1 permit 1 --key 1");
    assert_eq!(event("import-1", "permit", 2), None);
}
