//! Encrypted connections, to a server whose certificate is signed by an authority of the test's own.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

mod common;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sayiir_persistence::{Store, StoreError};
use sayiir_pg_testserver::{PgServer, Settings, shared};
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;
use tempfile::TempDir;

use common::*;

/// An authority, and a certificate that it signed for a server on this host.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(authority.path("names"), "subjectAltName=DNS:localhost").unwrap();
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
        );
        authority
            .openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
        authority.openssl("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// It comes with PostgreSQL on Debian, and with most systems.
    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(self.folder.path()).output().unwrap();
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn server(&self) -> PgServer {
        let file = |name| fs::read(self.path(name)).unwrap();
        let settings =
            Settings::fast().with("ssl", "on").with_file("server.crt", file("server.crt")).with_file("server.key", file("server.key"));
        own_server(&settings)
    }
}

/// A URL with a password, by the name for which the certificate is.
fn url(server: &PgServer, host: &str, mode: &str, root: Option<&Path>) -> String {
    let root = root.map_or_else(String::new, |root| format!("&sslrootcert={}", root.display()));
    format!("postgres://sayiir:s3cret@{host}:{}/postgres?sslmode={mode}{root}", server.port())
}

fn open_url(url: &str, schema: &str) -> Result<PostgresBackend, StoreError> {
    RUNTIME.block_on(PostgresBackend::open_with(url, options(schema)))
}

#[track_caller]
fn refused(url: &str) -> String {
    let error = open_url(url, "refused").map(drop).unwrap_err();
    let mut text = format!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(!format!("{text} {error:?}").contains("s3cret"), "{error:?}");
    text
}

#[test]
fn connections_are_encrypted_and_the_server_is_known_by_its_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.server();
    let (root, other) = (authority.path("ca.crt"), stranger.path("ca.crt"));
    for (mode, root) in [("require", None), ("verify-ca", Some(&*root)), ("verify-full", Some(&*root))] {
        let schema = mode.replace('-', "_");
        let store = open_url(&url(&server, "localhost", mode, root), &schema).unwrap();
        let lease = session(&store);
        let view = start_leased(&store, "i", lease);
        assert!(accepted(&wait(store.commit(lease, vec![advance(&view.instance_id, view.run, 1)])).unwrap()));
        // The connection that keeps leases too.
        wait(store.renew(lease, TTL, vec![(view.run, view.branch)])).unwrap();
        let mut raw = raw(&server.url(), &schema);
        let connections = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'sayiir' AND ";
        assert!(number(&mut raw, &format!("{connections} ssl")) >= 2, "{mode}");
        assert_eq!(number(&mut raw, &format!("{connections} NOT ssl")), 0, "{mode}");
        drop(store);
        until(&mut raw, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sayiir'", 0);
    }
    for (host, mode, root) in
        [("localhost", "verify-full", &*other), ("localhost", "verify-ca", &*other), ("127.0.0.1", "verify-full", &*root)]
    {
        let text = refused(&url(&server, host, mode, Some(root)));
        assert!(text.contains("encrypted connection") && text.contains("certificate"), "{host}, {mode}: {text}");
    }
    let text = refused(&url(&server, "localhost", "verify-full", Some(&authority.path("absent.crt"))));
    assert!(text.contains("absent.crt") || text.contains("No such file"), "{text}");
}

#[test]
fn a_server_without_encryption_is_refused_where_it_is_required() {
    let text = refused(&url(shared().unwrap(), "localhost", "require", None));
    assert!(text.contains("encrypted connection"), "{text}");
}
