//! A cluster is there while its owner is, and gone with it.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::net::TcpStream;
use std::path::PathBuf;

use sayiir_pg_testserver::{PgServer, Settings};

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_cluster_is_killed_started_again_and_removed() {
    let server = PgServer::start(&Settings::durable()).unwrap();
    let (port, folder) = (server.port(), PathBuf::from(server.socket_folder()));
    assert!(answers(port));
    server.kill().unwrap();
    server.restart().unwrap();
    assert!(answers(port));
    assert!(server.log().contains("was not properly shut down"), "{}", server.log());
    server.shut_down().unwrap();
    assert!(!answers(port));
    server.restart().unwrap();
    drop(server);
    assert!(!answers(port) && !folder.exists());
}

#[test]
fn a_panic_removes_the_cluster() {
    let server = PgServer::start(&Settings::fast()).unwrap();
    let (port, folder) = (server.port(), PathBuf::from(server.socket_folder()));
    let panicked = std::thread::spawn(move || {
        let _server = server;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.join().is_err());
    assert!(!answers(port) && !folder.exists());
}
