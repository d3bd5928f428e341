//! Which store a verb works on. A password in its address is shown in no message.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use clap::Args;
use sayiir::persistence::{InstanceRecord, Store};
use sayiir::{SqliteBackend, SqliteOptions, WorkflowClient};

use crate::ending::{Failure, failed};

/// Some store.
pub(crate) type AnyStore = Arc<dyn Store>;

/// A client of some store.
pub(crate) type Client = WorkflowClient<AnyStore>;

#[cfg(feature = "postgres")]
const KNOWN: &str = "sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE";
#[cfg(not(feature = "postgres"))]
const KNOWN: &str = "sqlite:PATH (this build was made without postgres)";

/// How long a server has to answer before the verb gives up.
#[cfg(feature = "postgres")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// The store to work on.
#[derive(Clone, Args)]
pub(crate) struct StoreArgs {
    /// The store: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL", env = "SAYIIR_STORE", hide_env_values = true)]
    store: Option<String>,

    /// On PostgreSQL, the schema that holds the store's tables
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "NAME", env = "SAYIIR_SCHEMA", default_value = "sayiir", hide_short_help = true)]
    schema: String,
}

/// A store that is open.
pub(crate) struct OpenStore {
    pub(crate) client: Client,
    /// Its address, without a password.
    pub(crate) shown: String,
    /// The same store, where others must be told of what was written.
    #[cfg(feature = "postgres")]
    postgres: Option<sayiir::PostgresBackend>,
}

impl StoreArgs {
    /// Opens the store, which must be there: no verb makes or migrates one.
    pub(crate) async fn open(&self) -> Result<OpenStore, Failure> {
        let address = Address::parse(self.store.as_deref())?;
        let shown = address.shown();
        #[cfg(feature = "postgres")]
        let mut postgres = None;
        let store: AnyStore = match &address {
            Address::Sqlite(path) => {
                if !path.exists() {
                    return Err(failed(format!("there is no file {}: no store is made to be looked at", path.display())));
                }
                let opened = SqliteBackend::open_with(path, SqliteOptions::default().with_readers(1).existing_only()).await;
                Arc::new(opened.with_context(|| format!("could not open {shown}"))?)
            }
            #[cfg(feature = "postgres")]
            Address::Postgres(url) => {
                let pool = sayiir::PoolOptions { max_connections: Some(2), acquire_timeout: Some(PATIENCE), ..Default::default() };
                let options = sayiir::PostgresOptions::default().with_schema(&self.schema).with_pool(pool).without_migration();
                let opened = sayiir::PostgresBackend::open_with(url, options).await;
                let opened = opened.with_context(|| format!("could not open {shown}"))?;
                postgres = Some(opened.clone());
                Arc::new(opened)
            }
        };
        Ok(OpenStore {
            client: Client::new(store),
            shown,
            #[cfg(feature = "postgres")]
            postgres,
        })
    }
}

impl OpenStore {
    /// Lets other processes know of what was written, before this one ends.
    #[cfg_attr(not(feature = "postgres"), allow(clippy::unused_async, reason = "SQLite's are told by the file itself"))]
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        #[cfg(feature = "postgres")]
        if let Some(postgres) = &self.postgres {
            postgres.settle().await?;
        }
        Ok(())
    }

    /// An instance as it stands.
    pub(crate) async fn instance(&self, id: &str) -> Result<InstanceRecord, Failure> {
        self.client.backend().instance(id).await?.ok_or_else(|| self.unknown(id))
    }

    /// That there is no such instance, in words.
    pub(crate) fn no_instance(&self, id: &str) -> String {
        format!("there is no instance {id:?} in {}", self.shown)
    }

    /// That there is no such instance.
    pub(crate) fn unknown(&self, id: &str) -> Failure {
        failed(format!("{}; `sayiir list` shows those there are", self.no_instance(id)))
    }
}

/// Where a store is.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
enum Address {
    Sqlite(PathBuf),
    /// The whole URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Address {
    fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let usage = |what: String| Err(Failure::Usage(format!("{what}; known are: {KNOWN}")));
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return usage("say which store, with --store URL or in SAYIIR_STORE".to_owned());
        };
        let _ = SECRETS.set(Secret::of(text));
        let Some((scheme, rest)) = text.split_once(':') else {
            // Without a scheme it can only be meant as a file; what looks like credentials is not repeated.
            let hint = if text.contains('@') { String::new() } else { format!(" (sqlite:{text}?)") };
            return usage(format!("the store's address has no scheme{hint}"));
        };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path == ":memory:" {
                    usage("sqlite: needs the path of a file".to_owned())
                } else {
                    Ok(Self::Sqlite(path.into()))
                }
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(Self::Postgres(text.to_owned())),
            _ => usage(format!("no store is known under the scheme {scheme:?}")),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", Path::display(path)),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let place = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
                format!("postgres://{}", place.split_once('?').map_or(place, |(place, _)| place))
            }
        }
    }
}

/// The password of this process's store.
static SECRETS: OnceLock<Vec<Secret>> = OnceLock::new();

/// A text that is not to be seen, and what is shown in its place.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
struct Secret {
    text: String,
    shown: String,
}

impl Secret {
    /// The password in an address: between the user and the host, or as a parameter.
    fn of(address: &str) -> Vec<Self> {
        let mut secrets = Vec::new();
        let rest = address.split_once("://").map_or("", |(_, rest)| rest);
        let authority_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // A password that is not encoded as it should be may hold any of those: then all up to the last @ is one.
        let credentials = rest.rfind('@').map(|at| rest.split_at(at).0).filter(|text| text.contains(':'));
        if let Some((user, password)) = credentials.and_then(|text| text.split_once(':')).filter(|(user, _)| user.len() <= authority_ends) {
            secrets.push(Self { text: format!("{user}:{password}@"), shown: format!("{user}:***@") });
            secrets.push(Self::word(password));
        }
        for parameter in address.split_once('?').map_or("", |(_, query)| query).split('&') {
            if let Some((name, value)) = parameter.split_once('=').filter(|(name, _)| name.ends_with("password")) {
                secrets.push(Self { text: format!("{name}={value}"), shown: format!("{name}=***") });
                secrets.push(Self::word(value));
            }
        }
        // A word of a few letters stands in many others: it is only hidden where it can be told from them.
        secrets.retain(|secret| secret.text.len() >= 4);
        secrets
    }

    fn word(text: &str) -> Self {
        Self { text: text.to_owned(), shown: "***".to_owned() }
    }
}

/// The text without the password of this process's store.
pub(crate) fn redact(text: &str) -> String {
    SECRETS.get().map_or_else(|| text.to_owned(), |secrets| without(text, secrets))
}

fn without(text: &str, secrets: &[Secret]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(&secret.text, &secret.shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_sqlite_is_taken_as_it_is() {
        for (text, path) in
            [("sqlite:a.db", "a.db"), ("sqlite:/x/a b.db", "/x/a b.db"), ("sqlite:///x/a.db", "/x/a.db"), ("sqlite://a.db", "a.db")]
        {
            assert_eq!(Address::parse(Some(text)).unwrap(), Address::Sqlite(path.into()), "{text}");
        }
    }

    #[test]
    fn what_names_no_store_is_wrong_usage_that_says_what_is_known() {
        for text in [
            None,
            Some(""),
            Some("demo.db"),
            Some("mysql://u:hunter22@h/d"),
            Some("sqlite:"),
            Some("sqlite::memory:"),
            Some("u:hunter22@h"),
        ] {
            let Err(Failure::Usage(line)) = Address::parse(text) else { panic!("{text:?}") };
            assert!(line.contains(KNOWN) && !line.contains("hunter22"), "{line}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_server_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("postgres://ada:hunter22@db:5432/orders?sslmode=require", "postgres://db:5432/orders"),
            ("postgresql://ada:p@ss@db/orders", "postgres://db/orders"),
            ("postgres:///orders?host=/run&password=hunter22", "postgres:///orders"),
        ] {
            assert_eq!(Address::parse(Some(url)).unwrap().shown(), shown);
        }
        assert!(matches!(Address::parse(Some("postgres:ada:hunter22@db")), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_password_is_found_wherever_it_stands() {
        let hidden = |address: &str, message: &str| without(message, &Secret::of(address));
        let address = "postgres://ada:hunter22@db/orders";
        assert_eq!(hidden(address, address), "postgres://ada:***@db/orders");
        assert_eq!(hidden(address, "no entry for hunter22"), "no entry for ***");
        let odd = "postgres://ada:p/w@rd#1@db:5432/orders?sslmode=require";
        assert_eq!(hidden(odd, odd), "postgres://ada:***@db:5432/orders?sslmode=require");
        let parameter = "postgres://db/orders?user=ada&password=hunter22";
        assert_eq!(hidden(parameter, parameter), "postgres://db/orders?user=ada&password=***");
        let short = "postgres://ada:a@db/orders";
        assert_eq!(hidden(short, short), "postgres://ada:***@db/orders");
        assert_eq!(hidden(short, "data"), "data");
        assert_eq!(Secret::of("postgres://db:5432/orders"), []);
        assert_eq!(Secret::of("sqlite:a.db"), []);
    }
}
